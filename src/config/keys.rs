//! The one table of what a configuration may say: keys, kinds, defaults, meaning.

use super::kind::{Key, Kind, Section};

const fn key(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { name, kind, default, required: false, doc }
}

const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, default: "", required: true, doc }
}

const fn not_yet(name: &'static str) -> Key {
    Key { name, kind: Kind::NotYet, default: "", required: false, doc: "" }
}

const COUNT: Kind = Kind::Integer { min: 1, max: 1_000_000_000 };
const SECONDS: Kind = Kind::Integer { min: 0, max: 86_400 };
const TIME: Kind = Kind::Duration { zero: false };

pub(super) static ROOT: Section = Section {
    called: "the configuration",
    keys: &[
        required("version", Kind::Integer { min: 1, max: 1 }, "Version of this format: 1."),
        key("server", Kind::Section(&SERVER), "", "Pingora's own server settings, under their own names."),
        key(
            "state_dir",
            Kind::Path,
            "/var/lib/steadfast",
            "Folder for the keys made at first start. Created with mode 0700.",
        ),
        key(
            "keys",
            Kind::List(&Kind::Section(&TOKEN_KEY)),
            "",
            "Keys of the load-balancer cookie: the first seals, all open. Without any, one is made in `state_dir`. Replicas must share them.",
        ),
        key(
            "affinity_seed",
            Kind::Section(&SECRET),
            "",
            "Secret of all hashes, at least 16 bytes; key rotation does not touch it. Without it, one is made from the last key, or at random, and kept in `state_dir`. Replicas must share it.",
        ),
        required("listeners", Kind::List(&Kind::Section(&LISTENER)), "The addresses to accept on."),
        required("pools", Kind::Named(&POOL), "Backends that serve the same application, by name."),
        not_yet("admin"),
        not_yet("reload"),
        not_yet("telemetry"),
    ],
};

static SERVER: Section = Section {
    called: "`server`",
    keys: &[
        key(
            "threads",
            Kind::Integer { min: 1, max: 1024 },
            "",
            "Threads for all listeners together. Default: the machine's cores.",
        ),
        key(
            "work_stealing",
            Kind::Boolean,
            "false",
            "Whether threads take work from each other. Off is cheaper for a proxy.",
        ),
        key("pid_file", Kind::Path, "", "Where the process id is written."),
        key("upgrade_sock", Kind::Path, "", "The socket over which an upgrade passes listeners."),
        key(
            "grace_period_seconds",
            SECONDS,
            "30",
            "Seconds that running requests are given after a stop was asked for.",
        ),
        key("graceful_shutdown_timeout_seconds", SECONDS, "5", "Seconds for the last step of a stop."),
        key(
            "upstream_keepalive_pool_size",
            COUNT,
            "1024",
            "Idle backend connections kept for reuse, over all backends.",
        ),
        key("ca_file", Kind::Path, "", "CA certificates instead of the platform's."),
        not_yet("daemon"),
        not_yet("error_log"),
        not_yet("user"),
        not_yet("group"),
        not_yet("working_directory"),
        not_yet("listener_tasks_per_fd"),
        not_yet("client_bind_to_ipv4"),
        not_yet("client_bind_to_ipv6"),
        not_yet("max_retries"),
        not_yet("max_blocking_threads"),
    ],
};

static TOKEN_KEY: Section = Section {
    called: "a key",
    keys: &[
        required("id", Kind::Text, "Names the key; unique."),
        key("value", Kind::Text, "", "32 bytes, as base64 or hexadecimal digits."),
        key("file", Kind::Path, "", "A file with the value."),
        key("env", Kind::Text, "", "An environment variable with the value."),
    ],
};

static SECRET: Section = Section {
    called: "`affinity_seed`",
    keys: &[
        key("value", Kind::Text, "", "The secret, at least 16 bytes."),
        key("file", Kind::Path, "", "A file with the secret."),
        key("env", Kind::Text, "", "An environment variable with the secret."),
    ],
};

static LISTENER: Section = Section {
    called: "a listener",
    keys: &[
        required("name", Kind::Text, "Its name in log and metrics; unique."),
        key(
            "protocol",
            Kind::Word(&["http", "tcp", "udp"]),
            "http",
            "What is spoken on it. `tcp` and `udp` are not supported yet.",
        ),
        required("address", Kind::SocketAddress, "Where to listen: IP address and port."),
        key(
            "trusted_proxies",
            Kind::List(&Kind::Network),
            "[]",
            "Networks whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.",
        ),
        key("limits", Kind::Section(&LISTENER_LIMITS), "", "Bounds on what a client may send."),
        key("timeouts", Kind::Section(&LISTENER_TIMEOUTS), "", "Bounds on how long a client may take."),
        required(
            "routes",
            Kind::List(&Kind::Section(&ROUTE)),
            "Tried in order; the first that matches wins.",
        ),
        not_yet("tls"),
        not_yet("proxy_protocol"),
        not_yet("pool"),
    ],
};

static LISTENER_LIMITS: Section = Section {
    called: "`limits`",
    keys: &[
        key("head_bytes", Kind::Size, "64KiB", "Request line and header fields together; 431 above."),
        key(
            "header_fields",
            Kind::Integer { min: 1, max: 256 },
            "100",
            "Number of header fields; 431 above.",
        ),
        key("uri_bytes", Kind::Size, "16KiB", "The request target; 414 above."),
        key("body_bytes", Kind::Size, "", "A request body; 413 above. Default: no bound."),
        key("connections", COUNT, "100000", "Open connections; further ones are closed at once."),
    ],
};

static LISTENER_TIMEOUTS: Section = Section {
    called: "`timeouts`",
    keys: &[
        key("head", TIME, "10s", "From a request's first byte to the end of its head; 408 after."),
        key("body", TIME, "60s", "Between two reads of a request body."),
        key("idle", TIME, "60s", "Between two requests on one connection."),
        key("write", TIME, "60s", "For one write to the client."),
    ],
};

static ROUTE: Section = Section {
    called: "a route",
    keys: &[
        required("pool", Kind::Text, "The pool that serves it."),
        not_yet("match"),
        not_yet("split"),
        not_yet("redirect"),
        not_yet("respond"),
    ],
};

static POOL: Section = Section {
    called: "a pool",
    keys: &[
        required("backends", Kind::List(&Kind::Section(&BACKEND)), "The servers."),
        key("balance", Kind::Section(&BALANCE), "", "How a new session finds its backend."),
        key("affinity", Kind::Section(&AFFINITY), "", "How a session stays on its backend."),
        key("health", Kind::Section(&HEALTH), "", "How backends are watched."),
        key("timeouts", Kind::Section(&POOL_TIMEOUTS), "", "Bounds on how long a backend may take."),
        key("retries", Kind::Section(&RETRIES), "", "When a request is tried again."),
        not_yet("discovery"),
        not_yet("limits"),
        not_yet("drain"),
        not_yet("tls"),
        not_yet("http"),
        not_yet("removal"),
        not_yet("quic"),
    ],
};

static BACKEND: Section = Section {
    called: "a backend",
    keys: &[
        required(
            "id",
            Kind::Text,
            "Stable, whatever the address; unique in its pool. Tokens and the ring go by it.",
        ),
        required("address", Kind::SocketAddress, "IP address and port."),
        key(
            "weight",
            Kind::Integer { min: 0, max: 65_535 },
            "1",
            "Share of new sessions, relative to the others; 0: none.",
        ),
        key(
            "state",
            Kind::Word(&["up", "draining", "maintenance"]),
            "up",
            "`draining` keeps its sessions and takes no new ones; `maintenance` takes nothing.",
        ),
    ],
};

static BALANCE: Section = Section {
    called: "`balance`",
    keys: &[
        key(
            "algorithm",
            Kind::Word(&["consistent_hash", "round_robin", "random", "least_connections"]),
            "consistent_hash",
            "With `consistent_hash` replicas agree on new sessions, too.",
        ),
        key(
            "load_factor",
            Kind::Factor,
            "1.25",
            "For `consistent_hash`: how far above its share of new sessions a backend may be loaded.",
        ),
    ],
};

static AFFINITY: Section = Section {
    called: "`affinity`",
    keys: &[
        key(
            "mode",
            Kind::Word(&["bind", "hash", "none"]),
            "bind",
            "`bind` binds sessions to backends. `hash` hashes the session id only and loses first sessions. `none` does nothing.",
        ),
        key(
            "application_cookie",
            Kind::OneOrMore(&Kind::Token),
            "JSESSIONID",
            "The application's session cookie, or a list of them.",
        ),
        key(
            "path_parameter",
            Kind::Token,
            "",
            "Path parameter that may carry the session id, as in `;jsessionid=`.",
        ),
        key("header", Kind::Token, "", "Request header that may carry the session id."),
        key("query", Kind::Token, "", "Query parameter that may carry the session id."),
        key(
            "route_suffix",
            Kind::Boolean,
            "false",
            "Whether the part of a session id behind its last dot names a backend (Tomcat's `jvmRoute`).",
        ),
        key(
            "first_contact",
            Kind::Word(&["client", "connection", "balance"]),
            "client",
            "What the first choice for a client without evidence is made from.",
        ),
        key(
            "learn",
            Kind::Section(&LEARN),
            "",
            "The table of learned sessions, for clients that hold no token.",
        ),
        key("load_balancer_cookie", Kind::Section(&LB_COOKIE), "", "The cookie that carries the token."),
        key(
            "release",
            Kind::Word(&["on_logout", "never"]),
            "on_logout",
            "Whether the application's logout also deletes the load-balancer cookie.",
        ),
        key(
            "on_lost_backend",
            Kind::Word(&["move", "fail"]),
            "move",
            "A session whose backend is gone moves to one successor, or is answered with 503.",
        ),
        key(
            "fail_back",
            Kind::Word(&["never", "always"]),
            "never",
            "Whether a moved session returns once its backend is back; `always` suits replicated sessions.",
        ),
        key(
            "suspect_hold",
            Kind::Duration { zero: true },
            "250ms",
            "How long a request waits while one probe decides about the backend that holds its session.",
        ),
        not_yet("source_address"),
    ],
};

static LEARN: Section = Section {
    called: "`learn`",
    keys: &[
        key(
            "capacity",
            COUNT,
            "1000000",
            "Sessions kept, at most 64 bytes each; the least recently used go first.",
        ),
        key("idle", TIME, "30m", "A session unused for this long is forgotten."),
        not_yet("shared"),
    ],
};

static LB_COOKIE: Section = Section {
    called: "`load_balancer_cookie`",
    keys: &[
        key(
            "name",
            Kind::Token,
            "",
            "Its name. Default: `steadfast-` and six digits made from the pool's name.",
        ),
        key(
            "insert",
            Kind::Word(&["when_needed", "always", "never"]),
            "when_needed",
            "`when_needed`: with the application's own cookie, and when nothing else leads the client back.",
        ),
        key("domain", Kind::Text, "", "Its `Domain`. Default: none, so the host alone."),
        key(
            "secure",
            Kind::Word(&["auto", "always", "never"]),
            "auto",
            "Its `Secure`; `auto`: as the client's connection and the application's cookie have it.",
        ),
        key("http_only", Kind::Boolean, "true", "Its `HttpOnly`."),
        key(
            "same_site",
            Kind::Word(&["follow", "strict", "lax", "none"]),
            "follow",
            "Its `SameSite`; `follow`: as the application's cookie, else `Lax`.",
        ),
        key(
            "partitioned",
            Kind::Word(&["follow", "always", "never"]),
            "follow",
            "Its `Partitioned`; `follow`: as the application's cookie.",
        ),
        key("idle", TIME, "", "A token unused for this long no longer counts. Default: no such limit."),
        key(
            "lifetime",
            TIME,
            "",
            "A token whose session began longer ago no longer counts. Default: no such limit.",
        ),
    ],
};

static HEALTH: Section = Section {
    called: "`health`",
    keys: &[
        key("http", Kind::Section(&HTTP_CHECK), "", "Checks by a GET. Default: no active check."),
        key("tcp", Kind::Switch(&TCP_CHECK), "", "Checks by a connection."),
        key("interval", TIME, "2s", "From the start of one check to the next."),
        key("timeout", TIME, "1s", "For one check as a whole."),
        key("rise", Kind::Integer { min: 1, max: 100 }, "2", "Successes in a row that bring a backend up."),
        key("fall", Kind::Integer { min: 1, max: 100 }, "3", "Failures in a row that take it down."),
        key(
            "existing_sessions",
            Kind::Word(&["try_home", "move"]),
            "try_home",
            "When only the check fails, existing sessions are still tried at home, or move.",
        ),
        key("passive", Kind::Section(&PASSIVE), "", "What real requests meet."),
        key(
            "slow_start",
            Kind::Duration { zero: true },
            "0s",
            "How long a backend that came up takes to reach its full share of new sessions.",
        ),
        not_yet("drain_on"),
    ],
};

static HTTP_CHECK: Section = Section {
    called: "`http`",
    keys: &[
        key("path", Kind::Text, "/", "Path and query of the GET."),
        key("host", Kind::Text, "", "The `Host` to send. Default: the backend's address."),
        key("expect", Kind::OneOrMore(&Kind::StatusRange), "[200-399]", "Good status codes."),
    ],
};

static TCP_CHECK: Section = Section { called: "`tcp`", keys: &[not_yet("send"), not_yet("expect")] };

static PASSIVE: Section = Section {
    called: "`passive`",
    keys: &[
        key(
            "consecutive_failures",
            Kind::Integer { min: 0, max: 1000 },
            "5",
            "Connections in a row that were refused, reset or timed out, after which the backend is ejected; 0: never.",
        ),
        key("eject", TIME, "10s", "How long an ejected backend takes nothing before it is tried again."),
    ],
};

static POOL_TIMEOUTS: Section = Section {
    called: "`timeouts`",
    keys: &[
        key("connect", TIME, "2s", "To connect."),
        key("read", TIME, "60s", "Between two reads from the backend."),
        key("write", TIME, "60s", "For one write to the backend."),
        key(
            "idle",
            TIME,
            "15s",
            "That an idle connection is kept for reuse. Keep it below the backend's own (Tomcat: 20 s).",
        ),
    ],
};

static RETRIES: Section = Section {
    called: "`retries`",
    keys: &[
        key("attempts", Kind::Integer { min: 0, max: 8 }, "2", "Tries after the first."),
        key(
            "on",
            Kind::List(&Kind::Word(&["connect", "reset_before_response"])),
            "[connect, reset_before_response]",
            "What is tried again. A reset is, for idempotent methods only.",
        ),
    ],
};
