//! The incidents, in the order of the table.

mod balancers;
mod changes;
mod clients;
mod failures;
mod limits;

use crate::contender::Failure;
use crate::field::Field;

/// One incident, the same for every load balancer.
pub(crate) struct Incident {
    pub(crate) number: u32,
    pub(crate) name: &'static str,
    /// Application servers at first.
    pub(crate) servers: usize,
    /// Load balancers side by side.
    pub(crate) replicas: usize,
    /// Requests in flight that a server may have.
    pub(crate) backend_limit: Option<u32>,
    /// Whether clients speak HTTP/2, in cleartext and from the first byte on.
    pub(crate) http2: bool,
    /// Plays it; the judge watches.
    pub(crate) play: fn(&mut Field) -> Result<(), Failure>,
}

const fn incident(
    number: u32,
    name: &'static str,
    replicas: usize,
    play: fn(&mut Field) -> Result<(), Failure>,
) -> Incident {
    Incident { number, name, servers: 3, replicas, backend_limit: None, http2: false, play }
}

/// All of them.
pub(crate) fn all() -> Vec<Incident> {
    vec![
        incident(1, "steady", 1, changes::steady),
        incident(2, "two backends added under load", 1, changes::two_added),
        incident(3, "drain", 1, changes::drain),
        incident(4, "backend killed", 1, failures::killed),
        incident(5, "backend killed and back", 1, failures::killed_and_back),
        incident(6, "reload without change", 1, changes::reload),
        incident(7, "upgrade to a new process", 1, changes::upgrade),
        incident(8, "fail-over to a second replica", 2, balancers::fail_over),
        incident(9, "each request to any of three replicas", 3, balancers::any_replica),
        incident(10, "client address changes", 1, clients::roaming),
        incident(11, "six parallel first requests", 1, clients::six_at_once),
        incident(12, "login with eight requests in flight", 1, clients::login_in_flight),
        incident(13, "logout, then login as someone else", 1, clients::logout_and_login),
        incident(14, "LB cookie lost, application cookie kept", 1, clients::balancer_cookie_lost),
        incident(15, "application cookie lost, LB cookie kept", 1, clients::application_cookie_lost),
        incident(16, "no cookies, ;jsessionid= links", 1, clients::path_only),
        incident(17, "new address under the same id", 1, changes::new_address),
        incident(18, "two applications, same cookie name", 1, clients::two_contexts),
        incident(19, "backend stands still: 0.2, 1, 3 s", 1, failures::blips),
        incident(20, "restart within one health interval", 1, failures::restart),
        incident(21, "forged and foreign tokens", 1, clients::forged),
        incident(22, "key rotation, replicas late", 2, balancers::rotation),
        Incident { backend_limit: Some(4), ..incident(23, "backend full", 1, limits::full) },
        incident(24, "WebSocket reconnects", 1, clients::web_socket),
        Incident {
            http2: true,
            ..incident(25, "HTTP/2: 100 first streams at once", 1, clients::hundred_streams)
        },
        incident(26, "a shared cache in front", 1, clients::shared_cache),
        incident(27, "load spread", 1, limits::spread),
        incident(28, "six at once after a death, two replicas", 2, failures::six_after_death),
        incident(29, "health page fails, application serves", 1, failures::page_fails),
        incident(30, "balancer killed, JSESSIONID or path only", 1, balancers::killed),
    ]
}
