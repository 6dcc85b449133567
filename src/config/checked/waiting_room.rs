//! Where visitors wait.

use std::time::Duration;

/// Where new visitors wait while the pool has as many sessions as it may.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WaitingRoom {
    /// Sessions that may live at once.
    pub sessions: u64,
    /// Visitors that wait. Default 10 000.
    pub length: usize,
    /// After what time the page renews itself. Default 10 s.
    pub refresh: Duration,
    /// Whoever does not come back for this long loses its turn. Default 1 min.
    pub patience: Duration,
    /// The page's HTML, where there is one.
    pub page: Option<String>,
}
