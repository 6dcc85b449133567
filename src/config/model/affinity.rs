//! `pools.NAME.affinity`: how a session stays on its backend.

use super::SourceAddress;
use crate::config::checked::{AffinityMode, FirstContact, Insert, OnLostBackend};
use crate::config::collections::OneOrMany;
use crate::config::read::keys;
use crate::config::text::{CookieName, Domain, FilePath, HeaderName, ParameterName, Switch, Text};
use crate::config::units::{Time, TimeOrZero, Whole};
use crate::config::words::{FailBack, Partitioned, Release, SameSiteOrFollow, Secure, Word};

keys! {
    /// How a session stays on its backend.
    struct Affinity {
        /// `bind`: the session is bound to the backend that made it; `hash`: plain hash of the session id, which
        /// loses the first session of most clients; `none`: no affinity.
        mode: Word<AffinityMode> = "bind",
        /// Name of the application's session cookie, or a list of names.
        application_cookie: OneOrMany<CookieName> = "JSESSIONID",
        /// Path parameter that may carry the session id, as in `;jsessionid=`.
        path_parameter: Option<ParameterName> = "null",
        /// Request header that may carry the session id.
        header: Option<HeaderName> = "null",
        /// Query parameter that may carry the session id.
        query: Option<ParameterName> = "null",
        /// Whether what stands behind the session id's last dot is a backend's id (Tomcat's `jvmRoute`).
        route_suffix: Switch = "false",
        /// What a client without a session is first placed by: `client`: address, user agent and host, so that
        /// parallel first requests agree; `connection`: all of a connection's requests alike; `balance`: each request by
        /// the balancing algorithm alone.
        first_contact: Word<FirstContact> = "client",
        /// The table of learned sessions.
        learn: Learn = "{}",
        /// The load-balancer cookie.
        load_balancer_cookie: Cookie = "{}",
        /// `on_logout`: when the application deletes its session cookie, the load-balancer cookie goes too; `never`.
        release: Word<Release> = "on_logout",
        /// What happens to a session whose backend is gone: `move`: to the one successor that every replica chooses;
        /// `fail`: 503 with `Retry-After`.
        on_lost_backend: Word<OnLostBackend> = "move",
        /// Whether a moved session returns when its first backend is back: `never`, or `always`, for applications that
        /// replicate sessions.
        fail_back: Word<FailBack> = "never",
        /// How long a request waits, when its session's backend has just failed, for a probe to decide; `0s`: not at all.
        suspect_hold: TimeOrZero = "250ms",
        /// At layer 4: clients are told apart by their address.
        source_address: SourceAddress = "{}",
    }
}

keys! {
    /// The table of learned sessions.
    struct Learn {
        /// Sessions that are kept; the least recently used go first.
        capacity: Whole<1, 100_000_000> = "1000000",
        /// A session that is unused for this long is forgotten. Not below the application's own session timeout.
        idle: Time = "30m",
        /// Whether the table is also kept in `state_dir`, half a second behind, so that a restart or crash finds it again.
        persist: Switch = "true",
        /// Redis or Valkey, through which replicas share the table; they need one `affinity_seed`. null: each replica has its
        /// own, and clients without cookies find home only through the replica that knows them.
        shared: Option<Shared> = "null",
    }
}

keys! {
    /// Redis or Valkey, through which replicas share the table. It is asked only for a session that neither a load-balancer
    /// cookie nor the table leads home; without it, all goes on.
    struct Shared {
        /// Where it is: `redis://HOST:PORT/DATABASE`, or `rediss://…` for TLS; port and database may be left out. User and
        /// password may stand before the host, as `USER:PASSWORD@`, percent-encoded.
        url: Text,
        /// File with the password alone, instead of the one in `url`.
        password_file: Option<FilePath> = "null",
        /// How long a request waits for its answer, at most.
        timeout: Time = "50ms",
    }
}

keys! {
    /// The load-balancer cookie.
    struct Cookie {
        /// Its name; null: made from the pool's name.
        name: Option<CookieName> = "null",
        /// `when_needed`: with each application cookie, and when nothing else leads the client back; `always`: whenever
        /// the client holds no current one; `never`.
        insert: Word<Insert> = "when_needed",
        /// Its `Domain` attribute; null: none.
        domain: Option<Domain> = "null",
        /// Its `Secure` attribute; `auto`: as the connection or the application's own cookie has it.
        secure: Word<Secure> = "auto",
        /// Its `HttpOnly` attribute.
        http_only: Switch = "true",
        /// Its `SameSite` attribute; `follow`: as the application's own cookie.
        same_site: Word<SameSiteOrFollow> = "follow",
        /// Its `Partitioned` attribute; `follow`: as the application's own cookie.
        partitioned: Word<Partitioned> = "follow",
        /// A cookie that was not seen for this long no longer counts; null: no such limit.
        idle: Option<Time> = "null",
        /// A cookie that is older than this no longer counts; null: no such limit.
        lifetime: Option<Time> = "null",
    }
}
