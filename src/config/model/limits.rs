//! `listeners[].limits.requests`: how many requests one client, session or holder of a header may send.

use crate::config::checked::LimitBy;
use crate::config::read::keys;
use crate::config::text::HeaderName;
use crate::config::units::{Time, Whole};
use crate::config::words::Word;

keys! {
    /// A limit of requests in a time; more is answered with 429 and `Retry-After`.
    struct RequestLimit {
        /// What is counted: `client`: each client address, after `trusted_proxies`; `session`: each session that the request
        /// presents, by its id or its load-balancer cookie; `header`: each value of the header field `header`. Requests
        /// without it do not count.
        by: Word<LimitBy> = "client",
        /// The header field, with `by: header`.
        header: Option<HeaderName> = "null",
        /// Requests in the time `per`, on average.
        requests: Whole<1, 1_000_000>,
        /// The time in which so many may come.
        per: Time = "1s",
        /// Requests at once after a pause; null: as many as `requests`.
        burst: Option<Whole<1, 1_000_000>> = "null",
        /// Clients, sessions or values that are told apart, in 16 bytes each; beyond, those that asked least are forgotten first.
        keys: Whole<64, 100_000_000> = "100000",
    }
}
