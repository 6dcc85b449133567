//! The server itself and its admin API.

use std::path::PathBuf;
use std::time::Duration;

use super::Secret;
use crate::names::ListenAddress;

/// Pingora's own server settings, under their own names. Defaults differ from Pingora's where safety asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Threads of each service. Default: the machine's cores.
    pub threads: usize,
    /// Whether threads take work from each other. Default `false`: cheaper for a proxy.
    pub work_stealing: bool,
    /// Where the process id is written, if anywhere.
    pub pid_file: Option<PathBuf>,
    /// The socket over which an upgrade passes listeners.
    pub upgrade_sock: Option<PathBuf>,
    /// From `/readyz` saying no to listeners not accepting, after SIGTERM. Default 0.
    pub stop_delay: Duration,
    /// Seconds that running requests are given after a stop was asked for. Default 30.
    pub grace_period_seconds: u64,
    /// Seconds for the last step of a stop. Default 5.
    pub graceful_shutdown_timeout_seconds: u64,
    /// Idle backend connections kept for reuse, over all backends. Default 1024.
    pub upstream_keepalive_pool_size: usize,
    /// A file of CA certificates instead of the platform's.
    pub ca_file: Option<PathBuf>,
    /// Who to become once all addresses are bound.
    pub user: Option<String>,
    /// In which group; `None`: the user's own.
    pub group: Option<String>,
}

/// The admin API.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where it listens. Default 127.0.0.1:9900.
    pub listen: ListenAddress,
    /// What callers must present, if anything.
    pub token: Option<Secret>,
    /// Whether the dashboard is there. Default false.
    pub dashboard: bool,
}
