//! The table of all families: what `docs/metrics.md` lists and what is served are both made from it.

/// What kind of value it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Only grows, until the process ends.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts by upper bound, and a sum.
    Histogram,
}

/// Metrics of one name.
#[derive(Debug)]
pub struct Family {
    /// Without a counter's `_total`, which both formats add.
    pub name: &'static str,
    /// What kind of value it is.
    pub kind: Kind,
    /// What one is, in words.
    pub unit: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
}

impl Family {
    /// The name that a query has.
    pub fn full_name(&self) -> String {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name),
            Kind::Gauge | Kind::Histogram => self.name.to_owned(),
        }
    }
}

/// Declares families, and lists them all.
macro_rules! families {
    ($($constant:ident: $kind:ident $name:literal in $unit:literal [$($label:ident),*] $help:literal;)*) => {
        /// The families by name.
        pub(crate) mod family {
            use super::{Family, Kind};

            $(pub(crate) static $constant: Family = Family {
                name: $name,
                kind: Kind::$kind,
                unit: $unit,
                labels: &[$(stringify!($label)),*],
                help: $help,
            };)*
        }

        static ALL: &[&Family] = &[$(&family::$constant),*];
    };
}

/// All families, in the order in which they are served.
pub fn families() -> impl Iterator<Item = &'static Family> {
    ALL.iter().copied()
}

families! {
    BUILD: Gauge "steadfast_build_info" in "1" [version]
        "The version that runs, as a label.";

    REQUESTS: Counter "steadfast_l7_requests" in "requests" [pool, backend, code, reason]
        "Requests that came to a backend, where they ended: by the class of the status that the client saw (none: it saw none) and the reason why they went there. Combinations that never occurred are left out.";
    DURATION: Histogram "steadfast_l7_request_duration_seconds" in "seconds" [pool, backend, phase]
        "How long requests took: queue (from arrival to a place at the backend), connect (a new connection; kept ones do not count), first_byte (from the connection to the head of the response), whole (from arrival to the end).";
    RECEIVED: Counter "steadfast_l7_received_bytes" in "bytes" [pool, backend]
        "Bytes of requests' bodies.";
    SENT: Counter "steadfast_l7_sent_bytes" in "bytes" [pool, backend]
        "Bytes of responses' bodies.";
    RETRIES: Counter "steadfast_l7_retries" in "tries" [pool, backend]
        "Tries after the first, counted where the request ended.";
    FAILED_TRIES: Counter "steadfast_l7_failed_tries" in "tries" [pool, backend, way]
        "Tries that failed at a backend: connect (no connection), exchange (it broke off), timeout (no answer in time).";
    REFUSED: Counter "steadfast_l7_refused" in "requests" [pool, reason]
        "Requests answered with 503 before they came to a backend: no_backend (none takes new sessions), lost_backend (the session's is gone and on_lost_backend is fail), full (the queue is, or the wait was too long).";
    ANSWERED: Counter "steadfast_l7_answered" in "requests" [listener, code]
        "Requests that came to no backend and were answered here, by the class of the status.";
    LIMITED: Counter "steadfast_l7_limited" in "requests" [listener, by]
        "Requests that were answered with 429 because of a limit of the listener in a time, by what it counts: client, session, header.";
    ROUTE_LIMITED: Counter "steadfast_l7_route_limited" in "requests" [listener, route, by]
        "Requests that were answered with 429 because of a limit of their route in a time, by what it counts: client, session, header.";

    LISTEN_CONNECTIONS: Gauge "steadfast_listen_connections" in "connections" [listener]
        "Connections that are open.";
    LISTEN_ACCEPTED: Counter "steadfast_listen_connections_accepted" in "connections" [listener]
        "Connections that were accepted.";
    LISTEN_OVER_LIMIT: Counter "steadfast_listen_connections_over_limit" in "connections" [listener]
        "Connections that were closed at once because too many were open.";
    LISTEN_OVER_CLIENT_LIMIT: Counter "steadfast_listen_connections_over_client_limit" in "connections" [listener]
        "Connections that were closed at once because their client had too many.";
    LISTEN_REJECTED: Counter "steadfast_listen_requests_rejected" in "requests" [listener, reason]
        "Requests that the front door refused: malformed, slow (the head took too long), unparsed (refused by the parser behind the door).";
    DATAGRAMS: Counter "steadfast_listen_datagrams" in "datagrams" [listener, direction]
        "Datagrams of UDP: received from clients, sent to them.";
    DATAGRAMS_DROPPED: Counter "steadfast_listen_datagrams_dropped" in "datagrams" [listener, reason]
        "Datagrams that were dropped: rate (their client sends too many), homeless (of no session, and none may begin), waiting (too many of their session wait for its backend), unsent (too long, or the system has no room).";

    CERTIFICATE: Gauge "steadfast_listen_certificate_expiry_timestamp_seconds" in "seconds since 1970" [listener, position, name]
        "When a certificate ends, by its position in the configuration, from 0, and its first name.";
    CERTIFICATE_DAYS: Gauge "steadfast_listen_certificate_days_left" in "days" [listener, position, name]
        "How many days a certificate is still valid for; negative: it has ended.";

    BACKEND_STATE: Gauge "steadfast_pool_backend_state" in "0 or 1" [pool, backend, state]
        "1 for the state that the backend is in: up, suspect, draining, down, maintenance.";
    BACKEND_WEIGHT: Gauge "steadfast_pool_backend_weight" in "shares" [pool, backend]
        "Its share of new sessions, relative to the others.";
    BACKEND_IN_FLIGHT: Gauge "steadfast_pool_backend_in_flight" in "requests" [pool, backend]
        "Requests that it is serving.";
    BACKEND_WAITING: Gauge "steadfast_pool_backend_waiting" in "requests" [pool, backend]
        "Requests in its queue.";
    BACKEND_NEW: Gauge "steadfast_pool_backend_new_sessions" in "sessions" [pool, backend]
        "New sessions lately; halves in about 45 seconds.";
    BACKEND_EPOCH: Gauge "steadfast_pool_backend_epoch" in "restarts" [pool, backend]
        "How often it is known to have lost its sessions.";

    WAITING_ROOM: Gauge "steadfast_pool_waiting_room_visitors" in "visitors" [pool]
        "Visitors in the line of its waiting room, where it has one.";

    CHECKS: Counter "steadfast_health_checks" in "checks" [pool, backend, result]
        "Active checks: pass, page_failed (it answers, but not as expected), unreachable, untried (our own lack of descriptors or memory).";

    DECISIONS: Counter "steadfast_affinity_decisions" in "decisions" [pool, reason]
        "Decisions by reason; each try of a request is decided.";
    SESSIONS_LIVE: Gauge "steadfast_affinity_sessions_live" in "sessions" [pool, backend, known_by]
        "Sessions that live on it: table (learned, exact) and token (known by their tokens alone, an estimate).";
    SESSIONS_CREATED: Counter "steadfast_affinity_sessions_created" in "sessions" [pool, backend]
        "Sessions that its application started, for new clients and in place of lost ones.";
    SESSIONS_BOUND: Counter "steadfast_affinity_sessions_bound" in "sessions" [pool, backend]
        "Clients that were bound to it by a token alone.";
    SESSIONS_ROTATED: Counter "steadfast_affinity_sessions_rotated" in "sessions" [pool, backend]
        "Sessions whose id its application replaced, and whose state lives on.";
    SESSIONS_RELEASED: Counter "steadfast_affinity_sessions_released" in "sessions" [pool, backend]
        "Sessions that its application ended.";
    SESSIONS_MOVED: Counter "steadfast_affinity_sessions_moved" in "sessions" [pool, backend, direction]
        "Sessions that moved because a backend was gone: in (to it) and out (away from it, as far as tokens told).";
    SESSIONS_LOST: Counter "steadfast_affinity_sessions_lost" in "sessions" [pool, backend, class]
        "Sessions that its application did not know: after_move, no_proof, at_home (a backend restarted without a failed check).";
    TOKENS_REFUSED: Counter "steadfast_affinity_tokens_refused" in "tokens" [pool, reason]
        "Load-balancer cookies that counted as absent: length, encoding, unknown_key, forged, expired.";
    LEARNED: Gauge "steadfast_affinity_learned_sessions" in "sessions" [pool]
        "Entries in the learned table, among them some that have just expired.";
    LEARNED_CAPACITY: Gauge "steadfast_affinity_learned_capacity" in "sessions" [pool]
        "Entries that the learned table has room for.";

    SHARED_CONNECTED: Gauge "steadfast_store_shared_connected" in "0 or 1" [pool]
        "Whether the engine of the shared table is in use.";
    SHARED_READS: Counter "steadfast_store_shared_reads" in "requests" [pool, result]
        "Requests that asked the engine: hit, miss, timeout, failure; and those that were not let: skipped.";
    SHARED_WRITES: Counter "steadfast_store_shared_writes" in "sessions" [pool]
        "Sessions that were written or deleted there.";
    SHARED_WRITE_FAILURES: Counter "steadfast_store_shared_write_failures" in "batches" [pool]
        "Batches that could not be written; what was in them is written again.";

    RELOADS: Counter "steadfast_lifecycle_reloads" in "reloads" [result]
        "Reloads: done, or refused, so that the configuration before stayed in force.";
    RELOAD_SUCCESS: Gauge "steadfast_lifecycle_last_reload_successful" in "0 or 1" []
        "Whether the last reload was done; 1 before the first one.";
    RELOAD_TIME: Gauge "steadfast_lifecycle_last_reload_timestamp_seconds" in "seconds since 1970" []
        "When the configuration in force was read: at the start, or by a reload.";
    UPGRADES: Counter "steadfast_lifecycle_upgrades" in "upgrades" [result]
        "Upgrades that this process was asked for: done (another process serves), or refused, so that this one went on.";
    DIFFERENCES: Gauge "steadfast_lifecycle_differences" in "differences" []
        "Where what is in force differs from the file: changes by hand, and backends that were found.";

    LOG_LINES: Counter "steadfast_telemetry_log_lines" in "lines" [log]
        "Lines of access logs that were written, by where they go.";
    SPANS: Counter "steadfast_telemetry_spans" in "spans" []
        "Spans that the collector has taken.";
    SPANS_DROPPED: Counter "steadfast_telemetry_spans_dropped" in "spans" [reason]
        "Spans that were dropped: full (the queue was), failed (the collector could not be reached, or did not want them).";
    LOG_DROPPED: Counter "steadfast_telemetry_log_lines_dropped" in "lines" [log, reason]
        "Lines of access logs that were dropped: full (the buffer was), failed (the destination did).";

    CPU: Counter "process_cpu_seconds" in "seconds" []
        "CPU time of the process, user and system.";
    MEMORY: Gauge "process_resident_memory_bytes" in "bytes" []
        "Memory of the process that is in RAM.";
    VIRTUAL_MEMORY: Gauge "process_virtual_memory_bytes" in "bytes" []
        "Address space of the process.";
    OPEN_FDS: Gauge "process_open_fds" in "descriptors" []
        "Open file descriptors.";
    MAX_FDS: Gauge "process_max_fds" in "descriptors" []
        "File descriptors that may be open.";
    THREADS: Gauge "process_threads" in "threads" []
        "Threads of the process.";
    START_TIME: Gauge "process_start_time_seconds" in "seconds since 1970" []
        "When the process began.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_by_the_rule() {
        let rooms =
            ["l7", "listen", "pool", "health", "affinity", "store", "lifecycle", "telemetry", "build"];
        let mut seen = std::collections::HashSet::new();
        for family in families() {
            let name = family.name;
            assert!(seen.insert(name), "{name} is there twice");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{name}");
            assert!(!name.ends_with("_total"), "{name}: the formats add it");
            let room = name.strip_prefix("steadfast_").map(|rest| rest.split('_').next().unwrap());
            assert!(room.is_none_or(|room| rooms.contains(&room)), "{name}");
            assert!(room.is_some() || name.starts_with("process_"), "{name}");
            assert!(family.help.ends_with('.'), "{name}");
        }
    }
}
