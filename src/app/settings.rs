//! Pingora's own settings, made from ours.

use std::path::PathBuf;

use pingora::server::configuration::ServerConf;

use crate::config::Checked;

/// Tries of one request are counted by its pool; this only bounds them all.
const MAX_TRIES: usize = 16;

pub(super) fn server_conf(checked: &Checked) -> ServerConf {
    let server = &checked.server;
    let text = |path: &PathBuf| path.display().to_string();
    let state = |name: &str| text(&checked.state_dir.join(name));
    ServerConf {
        threads: server.threads,
        work_stealing: server.work_stealing,
        // Pingora writes it only as a daemon, which we never are: a service manager watches us.
        pid_file: state("pingora.pid"),
        // Not used: our own hand-over is.
        upgrade_sock: state("pingora.sock"),
        grace_period_seconds: Some(server.grace_period_seconds),
        graceful_shutdown_timeout_seconds: Some(server.graceful_shutdown_timeout_seconds),
        upstream_keepalive_pool_size: server.upstream_keepalive_pool_size,
        ca_file: server.ca_file.as_ref().map(text),
        max_retries: MAX_TRIES,
        ..ServerConf::default()
    }
}

/// Pingora's settings cannot be cloned; these are the ones that its connector reads.
pub(super) fn server_conf_copy(conf: &ServerConf) -> ServerConf {
    ServerConf {
        threads: conf.threads,
        upstream_keepalive_pool_size: conf.upstream_keepalive_pool_size,
        ca_file: conf.ca_file.clone(),
        max_retries: conf.max_retries,
        ..ServerConf::default()
    }
}
