//! Which requests are worth a question to the other replicas. Pure.
//!
//! Not those with a token, nor those whose session is known here for sure. A guess is no knowledge: an id that only
//! a client has named may have been guessed while nobody could be asked. And what is known may be out of date:
//! where its backend is gone, or was gone since the session was last used here, another replica may have moved
//! the session meanwhile. When that backend is gone, all replicas compute the same successor, so the answer rarely
//! differs; but not if a third backend has joined since the move, or the first one has come back.

use arrayvec::ArrayVec;

use super::evidence::{Evidence, MAX_IDS};
use super::learned::{Origin, Remembered};
use super::policy::{Mode, Policy};
use super::session::SessionDigest;
use crate::clock::Now;
use crate::pool::Pool;

/// The sessions of one request, of which none is known for sure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unsure {
    /// Its session ids.
    pub ids: ArrayVec<SessionDigest, MAX_IDS>,
    /// Nobody has heard of any of them here: one may have started on another replica a moment ago.
    pub unheard: bool,
}

/// The sessions to ask for before the request is decided; `None`: what is known here is good enough.
pub fn unsure(evidence: &Evidence, policy: &Policy, pool: &Pool, now: Now) -> Option<Unsure> {
    let led = !evidence.tokens.is_empty() || evidence.ids.iter().any(|id| id.route.is_some());
    if led {
        return None;
    }
    unsure_of(evidence.ids.iter().map(|id| id.digest).collect(), policy, pool, now)
}

/// The same for sessions of which nothing but the table can know.
pub(super) fn unsure_of(
    ids: ArrayVec<SessionDigest, MAX_IDS>,
    policy: &Policy,
    pool: &Pool,
    now: Now,
) -> Option<Unsure> {
    if policy.mode != Mode::Bind || ids.is_empty() {
        return None;
    }
    let mut unheard = true;
    for id in &ids {
        let Some(known) = policy.learned.recall(id, now) else { continue };
        if is_sure(&known, policy, pool, now) {
            return None;
        }
        unheard = false;
    }
    Some(Unsure { ids, unheard })
}

fn is_sure(known: &Remembered, policy: &Policy, pool: &Pool, now: Now) -> bool {
    let Some(home) = pool.find_tag(known.backend).and_then(|index| pool.backend(index)) else { return false };
    let idle_s = now.unix_s.saturating_sub(u64::from(policy.learned.last_used_s(known)));
    // Whole seconds: in doubt, it was away.
    let unused_ms = (idle_s + 1) * 1000;
    let was_away = home.live().up_since_ms().is_some_and(|up_since| now.ms_since(up_since) <= unused_ms);
    known.origin == Origin::Application && home.takes_existing(now, true) && !was_away
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Arc;
    use std::time::Duration;

    use http::{HeaderMap, HeaderValue, header};

    use super::*;
    use crate::affinity::{
        CookiePolicy, FirstContact, FirstContacts, Insert, Key, KeyRing, Learned, PoolBinding, RequestView,
    };
    use crate::names::{BackendId, BackendIndex, PoolName};
    use crate::pool::{AdminState, Algorithm, BackendSpec, CheckVerdict, Ejection, HashSeed, PoolSpec};

    const NOW: Now = Now { monotonic_ms: 1_000_000, unix_s: 1_700_000_000 };

    fn pool() -> Pool {
        let backend = |n: u16| BackendSpec {
            id: BackendId::new(&format!("app{n}")),
            address: ([127, 0, 0, 1], 8000 + n).into(),
            weight: 1,
            admin: AdminState::Up,
        };
        let spec = PoolSpec {
            name: PoolName::new("app"),
            backends: (0..3).map(backend).collect(),
            algorithm: Algorithm::ConsistentHash,
            load_factor: 1.25,
            try_home: true,
            slow_start: Duration::ZERO,
            ejection: Ejection { consecutive_failures: 5, eject: Duration::from_secs(10) },
            limits: None,
            seed: HashSeed([7; 16]),
        };
        Pool::new(spec, |_| None)
    }

    fn policy() -> Policy {
        let binding = PoolBinding::of(&PoolName::new("app"));
        Policy {
            mode: Mode::Bind,
            application_cookies: vec![b"ID".as_slice().into()],
            path_parameter: None,
            header: None,
            query: None,
            route_suffix: true,
            first_contact: FirstContact::Client,
            suspect_hold: Duration::ZERO,
            moves: true,
            fails_back: false,
            releases_on_logout: true,
            cookie: CookiePolicy {
                name: "LB".into(),
                insert: Insert::WhenNeeded,
                domain: None,
                secure: None,
                http_only: true,
                same_site: None,
                partitioned: None,
                idle: None,
                lifetime: None,
            },
            keys: Arc::new(KeyRing::new(Key::new("a", &[1; 32].into()), Vec::new())),
            binding,
            learned: Arc::new(Learned::new(100, Duration::from_secs(1000))),
            contacts: FirstContacts::default(),
        }
    }

    fn asks(cookies: &str, policy: &Policy, pool: &Pool, now: Now) -> Option<Unsure> {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_str(cookies).unwrap());
        let request = RequestView {
            target: b"/",
            headers: &headers,
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            connection_choice: None,
            named_session: None,
        };
        unsure(&Evidence::read(&request, policy, pool, now), policy, pool, now)
    }

    fn digest(id: &str, pool: &Pool) -> SessionDigest {
        SessionDigest::of(pool.seed(), id.as_bytes())
    }

    #[test]
    fn only_a_session_that_nothing_leads_home_is_asked_for() {
        let (pool, policy) = (pool(), policy());
        let home = pool.backend(BackendIndex(0)).unwrap().tag();
        let unheard = Unsure { ids: [digest("x", &pool)].into_iter().collect(), unheard: true };
        assert_eq!(asks("ID=x", &policy, &pool, NOW), Some(unheard));
        assert_eq!(asks("other=x", &policy, &pool, NOW), None, "no session");
        assert_eq!(asks("ID=x.app1", &policy, &pool, NOW), None, "the server's own word");
        assert!(asks("ID=x.nobody", &policy, &pool, NOW).is_some());
        let token = crate::affinity::Token {
            backend: home,
            epoch: crate::names::Epoch(0),
            seed: crate::affinity::SessionSeed(1),
            issued_s: 1_700_000_000,
            seen_s: 1_700_000_000,
            flags: crate::affinity::Flags::default(),
            max_age_min: 0,
            fingerprints: ArrayVec::new(),
        };
        let sealed = policy.keys.seal(&token, &policy.binding, [3; 12]);
        let with_token = format!("ID=x; LB={}", sealed.as_str());
        assert_eq!(asks(&with_token, &policy, &pool, NOW), None, "never on the path of a token");
        policy.learned.learn(&digest("x", &pool), home, Origin::Client, NOW);
        assert!(!asks("ID=x", &policy, &pool, NOW).unwrap().unheard, "a guess is no knowledge");
        policy.learned.learn(&digest("y", &pool), home, Origin::Application, NOW);
        assert_eq!(asks("ID=x; ID=y", &policy, &pool, NOW), None, "one of them is known");
    }

    #[test]
    fn what_is_known_of_a_backend_that_is_or_was_away_is_asked_for() {
        let (pool, policy) = (pool(), policy());
        let home = pool.backend(BackendIndex(0)).unwrap();
        let at = |seconds| NOW.after(Duration::from_secs(seconds));
        policy.learned.learn(&digest("x", &pool), home.tag(), Origin::Application, NOW);
        assert_eq!(asks("ID=x", &policy, &pool, at(10)), None);
        home.live().check_verdict(CheckVerdict::Unreachable, at(10));
        assert!(!asks("ID=x", &policy, &pool, at(20)).unwrap().unheard, "it is away");
        home.live().check_verdict(CheckVerdict::Up, at(30));
        assert!(asks("ID=x", &policy, &pool, at(40)).is_some(), "it was away since the last use");
        assert!(policy.learned.find(&digest("x", &pool), at(40)).is_some());
        assert_eq!(asks("ID=x", &policy, &pool, at(40)), None, "used since then");
        policy.learned.learn(&digest("z", &pool), crate::names::BackendTag(99), Origin::Application, NOW);
        assert!(asks("ID=z", &policy, &pool, at(40)).is_some(), "no such backend");
    }
}
