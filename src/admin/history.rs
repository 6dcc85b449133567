//! The last hour of each pool's sessions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::Refusal;
use super::app::Api;
use super::call::Call;
use crate::telemetry::{HISTORY_STEP_S, Point};

/// The last hour of all pools.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Hour {
    /// From one point to the next, in seconds.
    pub(crate) step_s: u64,
    pub(crate) pools: Vec<PoolHour>,
}

/// The last hour of one pool.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PoolHour {
    pub(crate) name: String,
    /// The latest last.
    pub(crate) points: Vec<Point>,
    /// Sessions that had moved since the process began, at the last point.
    pub(crate) moved_until_then: u64,
    /// Sessions that had been lost since the process began, at the last point.
    pub(crate) lost_until_then: u64,
}

/// The last hour of all pools.
pub(super) fn all(api: &Api, _: &Call<'_>) -> Result<Hour, Refusal> {
    let pools = api.history.lines().into_iter().map(|line| PoolHour {
        name: line.pool.to_string(),
        points: line.points,
        moved_until_then: line.moved,
        lost_until_then: line.lost,
    });
    Ok(Hour { step_s: HISTORY_STEP_S, pools: pools.collect() })
}
