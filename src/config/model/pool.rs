//! `pools`: backends that serve the same application.

use super::{Affinity, Discovery, Health, PoolHttp, PoolTls, Quic, WaitingRoom};
use crate::config::checked::{Algorithm, BackendState, ConnectsFrom, Removal};
use crate::config::collections::OneOrMany;
use crate::config::network::BackendAt;
use crate::config::read::{Spanned, keys, later};
use crate::config::text::{Name, Switch};
use crate::config::units::{Factor, Time, Whole};
use crate::config::words::{RetryOn, Word};
use crate::names::ProxyVersion;

keys! {
    /// Backends that serve the same application.
    struct Pool {
        /// The backends; at least one, unless there is `discovery`.
        backends: Vec<Spanned<Backend>> = "[]",
        /// Backends that come and go, beside those under `backends`: one of `dns` and `file`; null: none. A source's failure
        /// loses no backend: its last good answer holds.
        discovery: Option<Discovery> = "null",
        /// How a new session finds its backend.
        balance: Balance = "{}",
        /// How a session stays on its backend.
        affinity: Affinity = "{}",
        /// How backends are watched.
        health: Health = "{}",
        /// Encrypts what is spoken to backends; null: cleartext.
        tls: Option<PoolTls> = "null",
        /// What is spoken to backends.
        http: PoolHttp = "{}",
        /// Tells backends of the client by the PROXY protocol, before anything else: `v1` or `v2`; null: not. With HTTP, each
        /// connection of a client gets connections of its own then.
        proxy_protocol: Option<Word<ProxyVersion>> = "null",
        /// The address that connections of layer 4 come from: `balancer`: its own; `client`: the client's, as behind a classic
        /// balancer. That takes CAP_NET_ADMIN, and a network where what backends answer comes back here.
        source: Word<ConnectsFrom> = "balancer",
        /// QUIC, in pools of UDP: how a client that changes its network stays with its backend; null: by its address alone.
        quic: Option<Quic> = "null",
        /// Bounds on how long a backend may take.
        timeouts: PoolTimeouts = "{}",
        /// When a request is tried again.
        retries: Retries = "{}",
        /// Bounds on what each backend is given at once.
        limits: PoolLimits = "{}",
        /// Where new visitors wait while there are as many sessions as there may be; null: none, all go in.
        waiting_room: Option<WaitingRoom> = "null",
        /// What happens to a backend that is no longer named, by the configuration or by discovery: `drain`: it keeps its
        /// sessions and takes no new ones, until it has none or the deadline passes; `at_once`: its sessions move.
        removal: Word<Removal> = "drain",
        /// How backends drain.
        drain: Drain = "{}",
    }
}

keys! {
    /// One server.
    struct Backend {
        /// Its stable id, whatever its address; unique in the pool. Tomcat's `jvmRoute`, where `route_suffix` is on.
        id: Name,
        /// Its IP address and port; in pools of TCP also a Unix socket: `unix:/run/app.sock`.
        address: BackendAt,
        /// Its share of new sessions, relative to the others; 0: none.
        weight: Whole<0, 1000> = "1",
        /// `up`; `draining`: keeps its sessions and takes no new ones; `maintenance`: takes nothing.
        state: Word<BackendState> = "up",
    }
    refused [later("tls"), later("limits")]
}

keys! {
    /// Bounds on what each backend is given at once.
    struct PoolLimits {
        /// Requests in flight at one backend, each of which takes one connection; more of them wait. null: no bound.
        connections_per_backend: Option<Whole<1, 1_000_000>> = "null",
        /// Who waits for a backend that is full.
        queue: Queue = "{}",
    }
}

keys! {
    /// Who waits for a backend that is full.
    struct Queue {
        /// Requests that wait, at each backend; further ones get 503.
        length: Whole<0, 1_000_000> = "1000",
        /// How long one waits before it gets 503.
        wait: Time = "5s",
        /// Whether requests of running sessions go in before those of new ones.
        existing_sessions_first: Switch = "true",
    }
}

keys! {
    /// How backends drain.
    struct Drain {
        /// How long a draining backend keeps its sessions; then they move.
        deadline: Time = "30m",
    }
}

keys! {
    /// How a new session finds its backend.
    struct Balance {
        /// `consistent_hash`: a weighted ring on which replicas agree; `round_robin`; `random`;
        /// `least_connections`: fewest requests in flight for its weight.
        algorithm: Word<Algorithm> = "consistent_hash",
        /// For `consistent_hash`: how far above its share a backend may be loaded before the next one is taken.
        load_factor: Factor = "1.25",
    }
}

keys! {
    /// Bounds on how long a backend may take.
    struct PoolTimeouts {
        /// To connect.
        connect: Time = "2s",
        /// Between two reads from it, also while a client still sends its body: clients may pause for so long.
        read: Time = "60s",
        /// For one write to it.
        write: Time = "60s",
        /// Silence on both sides of a WebSocket or another tunnel, of gRPC, and of server-sent events.
        tunnel: Time = "1h",
        /// That an idle connection to it is kept; below the backend's own, which is 20 s in Tomcat.
        idle: Time = "15s",
    }
}

keys! {
    /// When a request is tried again, on the same backend or, where its session allows, on another.
    struct Retries {
        /// Tries after the first; 0: none.
        attempts: Whole<0, 8> = "2",
        /// After what: `connect`: no connection could be made, so nothing was sent; `reset_before_response`: reset
        /// before the first byte of the response, idempotent methods only.
        on: OneOrMany<Word<RetryOn>> = "[connect, reset_before_response]",
    }
}
