//! A place for a session that one lane gives up for another one.
//!
//! A listener's places are for all of its lanes together. Where they are all taken, the oldest session that has proven nothing gives
//! way, but a lane can only end its own. One that has none asks the others for a place: its newcomer is served as soon as it
//! writes again.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::listen::Slot;

/// A place that is free for whoever asked for it.
#[derive(Default)]
pub(in crate::l4) struct Spare {
    place: Mutex<Option<Slot>>,
    wanted: AtomicBool,
    bell: Notify,
}

impl Spare {
    /// The place, if there is one; else the other lanes are asked for it.
    pub(super) fn take(&self) -> Option<Slot> {
        let place = self.place.lock().take();
        if place.is_none() {
            self.wanted.store(true, Ordering::Release);
            self.bell.notify_waiters();
        }
        place
    }

    /// The next asking, heard from now on.
    pub(super) fn asked(&self) -> Notified<'_> {
        self.bell.notified()
    }

    /// Gives a place where one is wanted.
    pub(super) fn give(&self, place: impl FnOnce() -> Option<Slot>) {
        if self.wanted.load(Ordering::Acquire)
            && let Some(place) = place()
        {
            self.wanted.store(false, Ordering::Release);
            // Of two that are given, one is free for all.
            *self.place.lock() = Some(place);
        }
    }
}
