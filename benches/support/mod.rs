//! A pool and its affinity, as the benchmarks use them.

use std::sync::Arc;
use std::time::Duration;

use steadfast::affinity::{
    CookiePolicy, FirstContact, FirstContacts, Insert, Key, KeyRing, Learned, Mode, Policy, PoolBinding,
};
use steadfast::clock::Now;
use steadfast::names::{BackendId, PoolName};
use steadfast::pool::{AdminState, Algorithm, BackendSpec, Ejection, HashSeed, Pool, PoolSpec};

pub(crate) const NOW: Now = Now { monotonic_ms: 1_000_000, unix_s: 1_700_000_000 };

pub(crate) fn pool(backends: u16) -> Pool {
    let backend = |n| BackendSpec {
        id: BackendId::new(&format!("app{n}")),
        address: ([127, 0, 0, 1], 8080).into(),
        weight: 1,
        admin: AdminState::Up,
    };
    let spec = PoolSpec {
        name: PoolName::new("app"),
        backends: (0..backends).map(backend).collect(),
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

pub(crate) fn policy() -> Policy {
    Policy {
        mode: Mode::Bind,
        application_cookies: vec![b"JSESSIONID".to_vec().into()],
        path_parameter: Some(b"jsessionid".to_vec().into()),
        header: None,
        query: None,
        route_suffix: false,
        first_contact: FirstContact::Client,
        suspect_hold: Duration::from_millis(250),
        moves: true,
        fails_back: false,
        releases_on_logout: true,
        cookie: CookiePolicy {
            name: "steadfast-a68b02".into(),
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
        binding: PoolBinding::of(&PoolName::new("app")),
        learned: Arc::new(Learned::new(1_000_000, Duration::from_secs(1800))),
        contacts: FirstContacts::default(),
    }
}
