//! What the answers of the read side say.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pool::{AdminState, Cause, Health, State};

/// That the process lives.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Alive {
    pub(crate) alive: bool,
}

/// That sessions can be served.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Ready {
    pub(crate) ready: bool,
}

/// What the balancer is doing.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Status {
    /// Of the program.
    pub(crate) version: String,
    /// The process.
    pub(crate) pid: u32,
    /// Since its start, in seconds.
    pub(crate) uptime_s: u64,
    pub(crate) phase: Phase,
    /// Whether a pool can take new sessions.
    pub(crate) ready: bool,
    pub(crate) listeners: Vec<ListenerView>,
    pub(crate) pools: Vec<PoolSummary>,
    /// Requests since the start, by the reason for which they went where they went.
    pub(crate) requests: BTreeMap<String, u64>,
    /// Where what is in force differs from the file, in words.
    pub(crate) differences: Vec<String>,
}

/// Where the process is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    Running,
    /// No new connections; running requests finish.
    Stopping,
}

/// One listener.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ListenerView {
    pub(crate) name: String,
    /// IP address and port.
    pub(crate) address: String,
    /// Connections that are open.
    pub(crate) open: usize,
    /// Connections that were accepted.
    pub(crate) accepted: u64,
    /// Connections that were closed at once because too many were open.
    pub(crate) over_limit: u64,
    /// Requests that the front door refused.
    pub(crate) rejected: u64,
    /// Request heads and bodies that took too long.
    pub(crate) timed_out: u64,
    /// PROXY protocol headers and TLS handshakes that came to nothing.
    pub(crate) handshake_failed: u64,
}

/// One pool in short.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PoolSummary {
    pub(crate) name: String,
    /// How many backends are in each state.
    pub(crate) backends: BTreeMap<StateWord, usize>,
    /// Requests in flight.
    pub(crate) in_flight: u64,
    /// Requests that wait for a full backend.
    pub(crate) waiting: usize,
    /// Sessions in the learned table, among them some that have just expired.
    pub(crate) learned_sessions: usize,
}

/// All pools.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Pools {
    pub(crate) pools: Vec<PoolView>,
}

/// One pool.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PoolView {
    pub(crate) name: String,
    pub(crate) backends: Vec<BackendView>,
}

/// The backends of a pool.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Backends {
    pub(crate) backends: Vec<BackendView>,
}

/// One backend.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct BackendView {
    pub(crate) id: String,
    /// IP address and port.
    pub(crate) address: String,
    /// Share of new sessions, relative to the others.
    pub(crate) weight: u16,
    /// What it comes to: what the operator wants and what health knows.
    pub(crate) state: StateWord,
    /// What the operator wants.
    pub(crate) wanted: Wanted,
    /// What health knows.
    pub(crate) health: HealthWord,
    /// Requests in flight.
    pub(crate) in_flight: u32,
    /// Requests that wait for a place.
    pub(crate) waiting: usize,
    /// New sessions lately: halves in about 45 seconds.
    pub(crate) new_sessions: u32,
    /// Sessions in the learned table.
    pub(crate) learned_sessions: u64,
    /// How long it may still drain, in seconds; null: it does not drain.
    pub(crate) drain_left_s: Option<u64>,
    /// How often it is known to have lost its sessions.
    pub(crate) epoch: u16,
}

/// A backend's state.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StateWord {
    /// Takes everything.
    Up,
    /// A connection failed; a probe is deciding.
    Suspect,
    /// Keeps its sessions, takes no new ones.
    Draining,
    /// Takes nothing, or only its own sessions if just its health page fails.
    Down,
    /// Takes nothing, as the operator wants it.
    Maintenance,
}

/// What the operator wants of a backend.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wanted {
    /// Takes everything.
    Up,
    /// Keeps its sessions, takes no new ones.
    Draining,
    /// Takes nothing.
    Maintenance,
}

/// What health knows of a backend.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HealthWord {
    /// It serves.
    Up,
    /// A connection failed; a probe is deciding.
    Suspect,
    /// Connections are refused, reset or time out.
    Unreachable,
    /// Only its health page fails.
    Unhealthy,
}

impl StateWord {
    pub(crate) const ALL: [Self; 5] =
        [Self::Up, Self::Suspect, Self::Draining, Self::Down, Self::Maintenance];

    /// The word, as the log has it.
    pub(crate) fn as_str(self) -> &'static str {
        State::from(self).as_str()
    }
}

impl From<StateWord> for State {
    fn from(word: StateWord) -> Self {
        match word {
            StateWord::Up => Self::Up,
            StateWord::Suspect => Self::Suspect,
            StateWord::Draining => Self::Draining,
            StateWord::Down => Self::Down,
            StateWord::Maintenance => Self::Maintenance,
        }
    }
}

impl From<State> for StateWord {
    fn from(state: State) -> Self {
        match state {
            State::Up => Self::Up,
            State::Suspect => Self::Suspect,
            State::Draining => Self::Draining,
            State::Down => Self::Down,
            State::Maintenance => Self::Maintenance,
        }
    }
}

impl From<AdminState> for Wanted {
    fn from(admin: AdminState) -> Self {
        match admin {
            AdminState::Up => Self::Up,
            AdminState::Draining => Self::Draining,
            AdminState::Maintenance => Self::Maintenance,
        }
    }
}

impl From<Health> for HealthWord {
    fn from(health: Health) -> Self {
        match health {
            Health::Up => Self::Up,
            Health::Suspect => Self::Suspect,
            Health::Down(Cause::Unreachable) => Self::Unreachable,
            Health::Down(Cause::Unhealthy) => Self::Unhealthy,
        }
    }
}
