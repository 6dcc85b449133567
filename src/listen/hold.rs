//! A response that is held for a slow reader: taken off the backend at once, to a limit, and sent as fast as the client
//! reads.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use super::budget::{Budget, Share};

/// Whether, and how much, is held of a connection's responses.
#[derive(Debug)]
pub(super) struct Hold {
    /// Bytes of one connection.
    limit: usize,
    share: Share,
    /// How long the client may read nothing.
    patience: Duration,
    /// Runs while it reads nothing.
    stall: Option<Pin<Box<Sleep>>>,
}

impl Hold {
    pub(super) fn new(limit: usize, budget: &Arc<Budget>, patience: Duration) -> Self {
        Self { limit, share: Share::of(budget), patience, stall: None }
    }

    /// How many of these bytes may be held beside those that are. `capacity` is the buffer's: it counts, not what is in it.
    pub(super) fn room(&mut self, held: usize, capacity: usize, bytes: usize) -> usize {
        let room = self.limit.saturating_sub(held).min(bytes);
        let needed = held + room;
        // A buffer that is too small grows to twice its size.
        let grown = if needed > capacity { needed.max(2 * capacity) } else { capacity };
        if room > 0 && self.share.grow_to(grown) { room } else { 0 }
    }

    /// The client has read something.
    pub(super) fn went_on(&mut self, all: bool) {
        self.stall = None;
        if all {
            self.share.clear();
        }
    }

    /// The client reads nothing now: an error once that takes too long.
    pub(super) fn stalls(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(self.patience)));
        stall.as_mut().poll(context).map(|()| io::ErrorKind::TimedOut.into())
    }
}
