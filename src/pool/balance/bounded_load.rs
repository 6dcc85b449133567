//! Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam: "Consistent Hashing with Bounded
//! Loads", 2016).
//!
//! The load is the number of new sessions that a backend was given lately, not of requests in flight: it moves
//! slowly, so that a browser's parallel first requests meet the same bound.

/// Sessions above the bound that are always allowed: at low load replicas should agree by the hash alone.
const SLACK: f64 = 8.0;

/// The bound for one choice.
#[derive(Clone, Copy, Debug)]
pub(in crate::pool) struct Bound {
    per_weight: f64,
}

impl Bound {
    /// The bound for the next session, given all sessions and all weights of those who take new ones.
    pub(in crate::pool) fn new(load_factor: f64, assigned: u64, weights: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let (assigned, weights) = (assigned as f64, weights.max(1) as f64);
        Self { per_weight: load_factor.max(1.0) * (assigned + 1.0) / weights }
    }

    /// Whether a backend may take one more.
    pub(in crate::pool) fn allows(&self, assigned: u32, weight: u32) -> bool {
        f64::from(assigned) + 1.0 <= (self.per_weight * f64::from(weight)).ceil() + SLACK
    }
}
