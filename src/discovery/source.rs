//! The seams: where backends come from, and where they go.

use async_trait::async_trait;

use super::found::{Answer, Fault, Found};
use crate::names::PoolName;

/// Where a pool's backends come from.
///
/// ```
/// use async_trait::async_trait;
/// use steadfast::discovery::{Answer, Fault, Found, Source};
///
/// /// Backends that another part of the program announces.
/// #[derive(Debug)]
/// struct Announced(tokio::sync::mpsc::Receiver<Vec<Found>>);
///
/// #[async_trait]
/// impl Source for Announced {
///     async fn next(&mut self) -> Result<Answer, Fault> {
///         match self.0.recv().await {
///             Some(found) => Ok(found.into()),
///             None => std::future::pending().await, // the last announcement stays in force
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait Source: Send + std::fmt::Debug {
    /// Waits until it is time, looks, and says what there is: at the first call at once, later at the pace
    /// that suits the source. It may answer the same as before. Dropped while it waits, it loses nothing.
    ///
    /// # Errors
    /// There is no answer. The last good one stays in force, and the next call comes soon, later each time.
    async fn next(&mut self) -> Result<Answer, Fault>;
}

/// Where found backends go.
pub trait Sink: Send + Sync + std::fmt::Debug {
    /// These are all backends that the pool's source now names, sorted by id, each id once: called only when they are
    /// others than before. It must not block.
    fn found(&self, pool: &PoolName, backends: Vec<Found>);
}
