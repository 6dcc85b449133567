//! Evidence: everything in a request that says where its session lives.
//!
//! Read once per request, owned, and kept until the response is bound. Bounded: a request with a thousand
//! cookies of one name costs no more than one with eight.

use std::net::IpAddr;

use arrayvec::ArrayVec;
use http::{HeaderMap, header};

use super::cookie;
use super::path_parameter::{path_values, query_values};
use super::policy::{FirstContact, Mode, Policy};
use super::session::{SessionDigest, keyed};
use super::token::{Refused, Token};
use crate::clock::Now;
use crate::names::BackendIndex;
use crate::pool::{HashSeed, Pool};

/// Session ids that are looked at in one request.
pub(super) const MAX_IDS: usize = 8;
/// Load-balancer cookies that are looked at in one request.
const MAX_TOKENS: usize = 4;
/// A longer value is no session id; it counts as absent.
const MAX_ID_LENGTH: usize = 4096;

/// What affinity sees of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// The request target as sent: path and query.
    pub target: &'a [u8],
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// The client's address, after trusted proxies.
    pub client: IpAddr,
    /// The first choice made for a request without evidence on the same connection, if it still counts.
    pub connection_choice: Option<BackendIndex>,
    /// The session's name as a hook gave it, before all cookies.
    pub named_session: Option<&'a [u8]>,
}

/// Everything in a request that says where its session lives.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The session ids that it presents, in the order of trust.
    pub ids: ArrayVec<PresentedId, MAX_IDS>,
    /// The tokens that opened.
    pub tokens: ArrayVec<Token, MAX_TOKENS>,
    /// Why the others did not.
    pub refused: ArrayVec<Refused, MAX_TOKENS>,
    /// What a first choice is made from.
    pub contact: Contact,
}

/// A session id in a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PresentedId {
    /// Its keyed digest.
    pub digest: SessionDigest,
    /// The backend that its route suffix names.
    pub route: Option<BackendIndex>,
    /// Where it stood.
    pub source: Source,
}

/// Where a session id stood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// In a cookie, with the position of its name among the application's cookies.
    Cookie(u8),
    /// In the path.
    Path,
    /// In a header field.
    Header,
    /// In the query.
    Query,
    /// Given by a hook.
    Hook,
}

/// What the first choice for a client without evidence is made from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Contact {
    /// Keyed hash of client address, user agent and host.
    pub key: u64,
    /// The connection's first choice.
    pub connection_choice: Option<BackendIndex>,
}

impl Evidence {
    /// Reads a request. Whatever is not ours, or broken, counts as absent.
    pub fn read(request: &RequestView<'_>, policy: &Policy, pool: &Pool, now: Now) -> Self {
        let mut evidence = Self {
            ids: ArrayVec::new(),
            tokens: ArrayVec::new(),
            refused: ArrayVec::new(),
            contact: contact(request, pool),
        };
        if policy.mode == Mode::None {
            return evidence;
        }
        if let Some(name) = request.named_session {
            evidence.present(name, Source::Hook, policy, pool);
        }
        for field in request.headers.get_all(header::COOKIE) {
            evidence.read_cookies(field.as_bytes(), policy, pool, now);
        }
        if let Some(name) = &policy.path_parameter {
            for id in path_values(request.target, name) {
                evidence.present(id, Source::Path, policy, pool);
            }
        }
        if let Some(name) = &policy.header {
            for id in request.headers.get_all(name) {
                evidence.present(cookie::trim(id.as_bytes()), Source::Header, policy, pool);
            }
        }
        if let Some(name) = &policy.query {
            for id in query_values(request.target, name) {
                evidence.present(id, Source::Query, policy, pool);
            }
        }
        evidence
    }

    /// What logs call the session that the request presents, by its first id or else by its token.
    pub fn mark(&self, seed: &HashSeed) -> Option<u64> {
        let by_id = self.ids.first().map(|id| id.digest.mark(seed));
        by_id.or_else(|| self.tokens.first().map(|token| token.seed.mark(seed)))
    }

    /// Whether the request carried a load-balancer cookie, good or bad.
    pub fn has_lb_cookie(&self) -> bool {
        !self.tokens.is_empty() || !self.refused.is_empty()
    }

    fn read_cookies(&mut self, field: &[u8], policy: &Policy, pool: &Pool, now: Now) {
        for pair in cookie::pairs(field) {
            if pair.name == policy.cookie.name.as_bytes() {
                self.read_token(pair.value, policy, now);
            } else if let Some(at) = policy.application_cookies.iter().position(|name| **name == *pair.name) {
                self.present(pair.value, Source::Cookie(u8::try_from(at).unwrap_or(u8::MAX)), policy, pool);
            }
        }
    }

    fn read_token(&mut self, text: &[u8], policy: &Policy, now: Now) {
        if policy.mode != Mode::Bind || self.tokens.is_full() || self.refused.is_full() {
            return;
        }
        let opened = policy.keys.open(text, &policy.binding);
        match opened
            .and_then(|token| if expired(&token, policy, now) { Err(Refused::Expired) } else { Ok(token) })
        {
            Ok(token) if self.tokens.contains(&token) => {}
            Ok(token) => self.tokens.push(token),
            Err(refused) => self.refused.push(refused),
        }
    }

    fn present(&mut self, id: &[u8], source: Source, policy: &Policy, pool: &Pool) {
        if id.is_empty() || id.len() > MAX_ID_LENGTH || self.ids.is_full() {
            return;
        }
        let digest = SessionDigest::of(pool.seed(), id);
        if self.ids.iter().any(|known| known.digest == digest) {
            return;
        }
        let route = if policy.route_suffix { route_of(id, pool) } else { None };
        self.ids.push(PresentedId { digest, route, source });
    }
}

/// The backend named behind the last dot (Tomcat's `jvmRoute`), if the pool has one of that id.
fn route_of(id: &[u8], pool: &Pool) -> Option<BackendIndex> {
    let at = memchr::memrchr(b'.', id)?;
    pool.find(std::str::from_utf8(id.get(at + 1..)?).ok()?)
}

/// Clocks of replicas differ a little; a token from further ahead is not believed.
const CLOCK_SKEW_S: u64 = 300;

fn expired(token: &Token, policy: &Policy, now: Now) -> bool {
    let older_than = |since_s: u32, limit: Option<std::time::Duration>| {
        limit.is_some_and(|limit| now.unix_s.saturating_sub(u64::from(since_s)) > limit.as_secs())
    };
    u64::from(token.seen_s) > now.unix_s + CLOCK_SKEW_S
        || older_than(token.seen_s, policy.cookie.idle)
        || older_than(token.issued_s, policy.cookie.lifetime)
}

fn contact(request: &RequestView<'_>, pool: &Pool) -> Contact {
    let client = match request.client {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    let field = |name| request.headers.get(name).map_or(&b""[..], |value| value.as_bytes());
    let key = keyed(pool.seed(), b"contact\0", &[&client, field(header::USER_AGENT), field(header::HOST)]);
    Contact { key, connection_choice: request.connection_choice }
}

impl Contact {
    /// The connection's first choice, where the policy lets it count.
    pub fn preferred(&self, policy: &Policy) -> Option<BackendIndex> {
        match policy.first_contact {
            FirstContact::Client | FirstContact::Connection => self.connection_choice,
            FirstContact::Balance => None,
        }
    }
}
