//! `server`: Pingora's own settings.

use crate::config::read::{elsewhere, instead, keys, later};
use crate::config::text::{FilePath, Switch, Text};
use crate::config::units::Whole;

const SERVICE_MANAGER: &str = "remove it; a service manager such as systemd starts and supervises Steadfast";
const UNIT: &str = "remove it, and set it in the service manager's unit";

keys! {
    /// Pingora's own server settings, under their own names.
    struct Server {
        /// Threads that serve all HTTP listeners together; null: as many as the machine has cores.
        threads: Option<Whole<1, 1024>> = "null",
        /// Whether threads take work from each other; `false` costs less.
        work_stealing: Switch = "false",
        /// File that the process id is written to.
        pid_file: Option<FilePath> = "null",
        /// Socket over which an upgrade hands listeners to the new process.
        upgrade_sock: Option<FilePath> = "null",
        /// Seconds that running requests are given after a stop was asked for.
        grace_period_seconds: Whole<0, 86_400> = "30",
        /// Seconds for the last step of a stop.
        graceful_shutdown_timeout_seconds: Whole<0, 3_600> = "5",
        /// Idle connections to backends that are kept for reuse, over all backends.
        upstream_keepalive_pool_size: Whole<0, 1_000_000> = "1024",
        /// File of CA certificates (PEM) to trust instead of the platform's.
        ca_file: Option<FilePath> = "null",
        /// User to become once all addresses are bound, when started as root; null: none. From then on files (keys, certificates,
        /// the state folder) are read and written as that user.
        user: Option<Text> = "null",
        /// Group to become with `user`; null: that user's own.
        group: Option<Text> = "null",
    }
    refused [
        elsewhere("max_retries", "remove it, and use `pools.NAME.retries`, which is per pool"),
        elsewhere("daemon", SERVICE_MANAGER),
        elsewhere("daemon_wait_for_ready", SERVICE_MANAGER),
        elsewhere("daemon_ready_timeout_seconds", SERVICE_MANAGER),
        elsewhere("daemon_notify_timeout_seconds", SERVICE_MANAGER),
        elsewhere("working_directory", UNIT),
        elsewhere("error_log", "remove it; the log goes to standard error, where the service manager takes it"),
        elsewhere("version", "remove it; the version stands at the top of the file"),
        instead("client_bind_to_ipv4", "remove it; the system chooses the address"),
        instead("client_bind_to_ipv6", "remove it; the system chooses the address"),
        later("listener_tasks_per_fd"),
        later("runtime_enable_alt_timer"),
        later("upstream_connect_offload_threadpools"),
        later("upstream_connect_offload_thread_per_pool"),
        later("downstream_tls_offload_threadpools"),
        later("downstream_tls_offload_thread_per_pool"),
        later("upstream_debug_ssl_keylog"),
        later("upgrade_sock_connect_accept_max_retries"),
        later("max_blocking_threads"),
        later("blocking_threads_ttl_seconds"),
        later("fast_timeout_to_tokio_threshold_seconds"),
        later("runtime_metrics_poll_time_histogram"),
        later("runtime_metrics_poll_time_histogram_scale"),
        later("runtime_metrics_poll_time_histogram_resolution_micros"),
        later("runtime_metrics_poll_time_histogram_buckets"),
    ]
}
