//! Advice: what was lost and why, and whether timeouts fit.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::Refusal;
use super::app::Api;
use super::call::Call;
use crate::affinity::Gap;
use crate::pulse::{Alert, Limits, advise};
use crate::snapshot::ServedPool;

/// What could be better, and what it is read from.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct AdviceView {
    /// In words.
    pub(crate) advice: Vec<Said>,
    /// The latest incidents, the newest first.
    pub(crate) incidents: Vec<IncidentView>,
    /// After which gaps sessions came back.
    pub(crate) gaps: Vec<PoolGaps>,
}

/// One piece of advice.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Said {
    pub(crate) level: AdviceLevel,
    pub(crate) pool: String,
    pub(crate) text: String,
}

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AdviceLevel {
    /// Something could fit better.
    Info,
    /// Something is lost as it is.
    Warn,
    /// Sessions were lost.
    Bad,
}

/// Sessions that were lost, out of the ordinary.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct IncidentView {
    pub(crate) pool: String,
    pub(crate) backend: String,
    /// When the first was lost, in seconds since 1970.
    pub(crate) from_s: u64,
    /// When the last was lost.
    pub(crate) until_s: u64,
    pub(crate) lost_after_move: u64,
    pub(crate) lost_no_proof: u64,
    pub(crate) lost_at_home: u64,
    /// Whether the backend has restarted, as far as its sessions tell.
    pub(crate) restarted: bool,
    /// Whether it has ended.
    pub(crate) is_over: bool,
    /// By the first segment of the path, most first.
    pub(crate) paths: Vec<PathLosses>,
    pub(crate) text: String,
}

/// Sessions that were lost under a path.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PathLosses {
    pub(crate) path: String,
    pub(crate) lost: u64,
}

/// After which gaps the sessions of a pool came back.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PoolGaps {
    pub(crate) pool: String,
    /// `learn.idle`, in seconds.
    pub(crate) idle_s: u64,
    pub(crate) gaps: Vec<GapView>,
}

/// Sessions that came back after so long.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct GapView {
    /// At least so many seconds.
    pub(crate) from_s: u32,
    /// Less than that; null: however long.
    pub(crate) to_s: Option<u32>,
    /// The application still knew them.
    pub(crate) kept: u64,
    /// The application gave them another id: it had given them up, or they logged in.
    pub(crate) replaced: u64,
    /// The learned table had forgotten them.
    pub(crate) forgotten: u64,
}

/// All advice.
pub(super) fn all(api: &Api, _: &Call<'_>) -> Result<AdviceView, Refusal> {
    let snapshot = api.current.load();
    let incidents = api.board.all();
    let mut advice: Vec<_> = incidents
        .iter()
        .map(|alert| Said { level: AdviceLevel::Bad, pool: alert.pool.to_string(), text: alert.text.clone() })
        .collect();
    for served in &snapshot.pools {
        let learned = &served.policy.learned;
        let limits = Limits { learned: learned.idle(), cookie: served.policy.cookie.idle };
        advice.extend(advise(&learned.gaps(), limits).into_iter().map(|one| Said {
            level: if one.is_warning { AdviceLevel::Warn } else { AdviceLevel::Info },
            pool: served.pool.name().to_string(),
            text: one.text,
        }));
    }
    Ok(AdviceView {
        advice,
        incidents: incidents.into_iter().map(incident).collect(),
        gaps: snapshot.pools.iter().map(|served| gaps(served)).collect(),
    })
}

pub(super) fn incident(alert: Alert) -> IncidentView {
    let Alert { pool, incident, paths, text } = alert;
    IncidentView {
        pool: pool.to_string(),
        backend: incident.backend.to_string(),
        from_s: incident.from_s,
        until_s: incident.until_s,
        lost_after_move: incident.lost.after_move,
        lost_no_proof: incident.lost.no_proof,
        lost_at_home: incident.lost.at_home,
        restarted: incident.restarted,
        is_over: incident.is_over,
        paths: paths.into_iter().map(|(path, lost)| PathLosses { path, lost }).collect(),
        text,
    }
}

fn gaps(served: &ServedPool) -> PoolGaps {
    let view = |gap: Gap| GapView {
        from_s: gap.from_s,
        to_s: gap.to_s,
        kept: gap.kept,
        replaced: gap.replaced,
        forgotten: gap.forgotten,
    };
    let learned = &served.policy.learned;
    PoolGaps {
        pool: served.pool.name().to_string(),
        idle_s: learned.idle().as_secs(),
        gaps: learned.gaps().into_iter().map(view).collect(),
    }
}
