//! The numbers of one second: pools, backends, their requests and their sessions. The dashboard's and `top`'s.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::book::{BackendReport, LiveCount, Lost};

/// The numbers of one second.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// When, in seconds since 1970.
    pub at_s: u64,
    /// The pools, in the order of the configuration.
    pub pools: Vec<PoolSample>,
    /// How long half of all requests took, in milliseconds, over the last few seconds; null: there was none.
    pub median_ms: Option<f64>,
    /// How long all but one in a hundred took, in milliseconds; null: there was none.
    pub slow_ms: Option<f64>,
    /// Where what is in force differs from the file, in words.
    pub differences: Vec<String>,
    /// The certificates of the listeners, in the order of the configuration.
    #[serde(default)]
    pub certificates: Vec<CertificateSample>,
}

/// One certificate.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct CertificateSample {
    /// Its listener.
    pub listener: String,
    /// Its first name.
    pub name: String,
    /// When it ends, in seconds since 1970.
    pub ends_s: i64,
}

impl CertificateSample {
    /// In how many whole days it ends; negative: it has ended.
    pub fn days_left(&self, now_s: u64) -> i64 {
        let left_s = self.ends_s.saturating_sub(i64::try_from(now_s).unwrap_or(i64::MAX));
        left_s.div_euclid(24 * 3600)
    }
}

/// The numbers of one pool.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct PoolSample {
    /// Its name.
    pub name: String,
    /// Its backends, in the order of the configuration.
    pub backends: Vec<BackendSample>,
}

/// The numbers of one backend.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct BackendSample {
    /// Its id.
    pub id: String,
    /// IP address and port.
    pub address: String,
    /// Its state, as the log has it.
    pub state: String,
    /// What the operator wants of it: `up`, `draining` or `maintenance`.
    pub wanted: String,
    /// Its share of new sessions.
    pub weight: u16,
    /// How long it may still drain, in seconds; null: it does not drain.
    pub drain_left_s: Option<u64>,
    /// In how many seconds 95 % of the sessions will be gone that it had when its drain began; 0: they are. null: it
    /// does not drain, or nothing can be said yet.
    #[serde(default)]
    pub drain_forecast_s: Option<u64>,
    /// Requests in flight.
    pub in_flight: u32,
    /// Requests that wait for a place.
    pub waiting: usize,
    /// Requests since the process began.
    pub requests: u64,
    /// Those that ended in a server error.
    pub errors: u64,
    /// Requests in a second, over the last few.
    pub rate: f64,
    /// Server errors in a second, over the last few.
    pub error_rate: f64,
    /// How long half of them took, in milliseconds, over the last few seconds; null: there was none.
    pub median_ms: Option<f64>,
    /// How long all but one in a hundred took, in milliseconds; null: there was none.
    pub slow_ms: Option<f64>,
    /// Its sessions.
    pub sessions: Sessions,
}

/// The sessions of one backend.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Sessions {
    /// How many live.
    pub live: u64,
    /// Those of them that only their load-balancer cookies know: an estimate.
    pub by_token: u64,
    /// Started here since the process began.
    pub created: u64,
    /// Came from a backend that was gone.
    pub moved_in: u64,
    /// Left because this backend was gone, as far as their tokens told.
    pub moved_out: u64,
    /// Lost after a move.
    pub lost_after_move: u64,
    /// Lost, as nothing proved where they lived.
    pub lost_no_proof: u64,
    /// Lost by a restart.
    pub lost_at_home: u64,
}

impl From<&BackendReport> for Sessions {
    fn from(report: &BackendReport) -> Self {
        let LiveCount { by_token, .. } = report.live;
        let mut sessions = Self {
            live: report.live.total(),
            by_token,
            created: report.created,
            moved_in: report.moved_in,
            moved_out: report.moved_out,
            ..Self::default()
        };
        sessions.count_lost(&report.lost);
        sessions
    }
}

impl Sessions {
    /// Counts the sessions that were lost with the backend, wherever that was noticed.
    pub fn count_lost(&mut self, lost: &Lost) {
        let Lost { after_move, no_proof, at_home } = *lost;
        (self.lost_after_move, self.lost_no_proof, self.lost_at_home) = (after_move, no_proof, at_home);
    }

    /// All that were lost.
    pub fn lost(&self) -> u64 {
        self.lost_after_move + self.lost_no_proof + self.lost_at_home
    }
}
