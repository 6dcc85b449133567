//! A wait for a place at a backend, as layer 4 and layer 7 both have it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::backend::{Backend, Pool};
use super::gate::{Asker, Entry, Permit};

/// What the wait came to.
#[derive(Debug)]
pub enum Admission {
    /// Go there.
    Granted(Permit),
    /// The backend changed meanwhile: decide anew.
    Undecided,
    /// The queue is full, or the wait was too long.
    Full,
}

/// How long one request waits in all, whatever number of queues it stands in.
#[derive(Debug, Default)]
pub struct Patience(Option<Instant>);

impl Pool {
    /// Waits for a place at this backend, as the pool's limits have it.
    pub async fn admit(&self, backend: &Backend, asker: Asker, patience: &mut Patience) -> Admission {
        let limits = self.limits();
        let waiting = match backend.live().ask(limits, asker) {
            Entry::Go(permit) => return Admission::Granted(permit),
            Entry::Wait(waiting) => waiting,
            Entry::Full => return Admission::Full,
        };
        let wait = limits.map_or(Duration::ZERO, |limits| limits.queue_wait);
        let deadline = *patience.0.get_or_insert_with(|| Instant::now() + wait);
        let live = Arc::clone(backend.live());
        let event = timeout_at(deadline, async {
            tokio::select! {
                biased;
                permit = waiting => permit.ok(),
                () = live.changed() => None,
            }
        });
        match event.await {
            Ok(Some(permit)) => Admission::Granted(permit),
            Ok(None) => Admission::Undecided,
            Err(_) => Admission::Full,
        }
    }
}
