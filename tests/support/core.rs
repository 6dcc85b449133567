//! The affinity core without a socket: a pool, a policy, and clients that keep cookies, in virtual time.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use steadfast::affinity::{
    self, Binding, Circumstance, CookiePolicy, Decision, Entropy, Evidence, FirstContact, FirstContacts,
    Insert, Key, KeyRing, Learned, Mode, Policy, PoolBinding, RequestView, ResponseView, Verdict,
};
use steadfast::clock::Now;
use steadfast::names::{BackendId, Outcome, PoolName, Reason};
use steadfast::pool::{
    AdminState, Algorithm, Backend, BackendSpec, Ejection, HashSeed, Pool, PoolSpec, Restart,
};

pub(crate) const START: Now = Now { monotonic_ms: 1_000_000, unix_s: 1_700_000_000 };
const OURS: &str = "LB";

/// One balancer.
pub(crate) struct Replica {
    pub(crate) pool: Pool,
    pub(crate) policy: Policy,
    entropy: std::cell::Cell<u64>,
}

/// What a client holds.
#[derive(Clone, Default, Debug)]
pub(crate) struct Jar {
    pub(crate) session: Option<String>,
    pub(crate) ours: Option<String>,
}

/// What one exchange came to.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) server: String,
    pub(crate) reason: Reason,
    pub(crate) outcome: Outcome,
    pub(crate) restart: Option<Restart>,
    /// Whether only the token knows the session.
    pub(crate) by_token: Option<u64>,
    pub(crate) given_token: bool,
}

/// What the application answers with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Says<'a> {
    Nothing,
    Picture,
    Session(&'a str),
    Goodbye,
}

impl Replica {
    pub(crate) fn new(backends: u16) -> Self {
        let backend = |n| BackendSpec {
            id: BackendId::new(&format!("app{n}")),
            address: ([127, 0, 0, 1], 8080).into(),
            weight: 1,
            admin: AdminState::Up,
        };
        let spec = PoolSpec {
            name: PoolName::new("app"),
            backends: (1..=backends).map(backend).collect(),
            algorithm: Algorithm::ConsistentHash,
            load_factor: 1.25,
            try_home: true,
            slow_start: Duration::ZERO,
            ejection: Ejection { consecutive_failures: 5, eject: Duration::from_secs(10) },
            limits: None,
            seed: HashSeed([3; 16]),
        };
        Self { pool: Pool::new(spec, |_| None), policy: policy(), entropy: std::cell::Cell::new(1) }
    }

    /// Forgets what it learned, as another replica would not know it.
    pub(crate) fn forget(&mut self) {
        self.policy.learned = learned();
    }

    pub(crate) fn backend(&self, id: &str) -> &Backend {
        self.pool.backend(self.pool.find(id).unwrap()).unwrap()
    }

    /// Where a request of this client would go.
    pub(crate) fn decide(&self, jar: &Jar, agent: &str, now: Now) -> (Evidence, Decision) {
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_str(agent).unwrap());
        let session = jar.session.iter().map(|id| format!("JSESSIONID={id}"));
        let cookies: Vec<_> = session.chain(jar.ours.iter().map(|token| format!("{OURS}={token}"))).collect();
        if !cookies.is_empty() {
            headers.insert(header::COOKIE, HeaderValue::from_str(&cookies.join("; ")).unwrap());
        }
        let request = RequestView {
            target: b"/",
            headers: &headers,
            client: IpAddr::from([10, 0, 0, 1]),
            connection_choice: None,
            named_session: None,
        };
        let evidence = Evidence::read(&request, &self.policy, &self.pool, now);
        let at = Circumstance { now, draw: 7, held: false };
        match affinity::decide(&evidence, &self.policy, &self.pool, at) {
            Verdict::To(decision) => (evidence, decision),
            other => panic!("{other:?}"),
        }
    }

    /// A request and its answer, as `l7` puts them together.
    pub(crate) fn exchange(&self, jar: &mut Jar, agent: &str, says: Says<'_>, now: Now) -> Exchange {
        let (evidence, decision) = self.decide(jar, agent, now);
        let mut headers = HeaderMap::new();
        let mut set = |name, value: &str| headers.append(name, HeaderValue::from_str(value).unwrap());
        match says {
            Says::Nothing => {}
            Says::Picture => drop(set(header::CONTENT_TYPE, "image/png")),
            Says::Session(id) => drop(set(header::SET_COOKIE, &format!("JSESSIONID={id}; Path=/"))),
            Says::Goodbye => drop(set(header::SET_COOKIE, "JSESSIONID=; Path=/; Max-Age=0")),
        }
        let response =
            ResponseView { status: StatusCode::OK, headers: &headers, preflight: false, secure: false };
        let seed = self.entropy.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.entropy.set(seed);
        let entropy = || Entropy { nonce: [7; 12], seed };
        let mut binding =
            affinity::bind(&self.policy, &self.pool, &evidence, &decision, &response, now, entropy);
        binding.remember(&self.policy, now);
        let backend = self.pool.backend(decision.backend).unwrap();
        let restart = binding.testify(backend, now);
        let by_token = binding.only_in_token(&self.policy, now).map(|seed| seed.0);
        match says {
            Says::Session(id) => jar.session = Some(id.to_owned()),
            Says::Goodbye => jar.session = None,
            Says::Nothing | Says::Picture => {}
        }
        let given_token = binding.set_cookie.is_some();
        keep(&binding, jar, now);
        Exchange {
            server: backend.id().to_string(),
            reason: decision.reason,
            outcome: binding.outcome,
            restart,
            by_token,
            given_token,
        }
    }
}

fn keep(binding: &Binding, jar: &mut Jar, now: Now) {
    let Some(line) = &binding.set_cookie else { return };
    let cookie = affinity::parse_set_cookie(line.as_bytes(), now.unix_s).unwrap();
    let token = String::from_utf8(cookie.value.to_vec()).unwrap();
    jar.ours = Some(token).filter(|token| !token.is_empty());
}

fn learned() -> Arc<Learned> {
    Arc::new(Learned::new(10_000, Duration::from_secs(1800)))
}

fn policy() -> Policy {
    Policy {
        mode: Mode::Bind,
        application_cookies: vec![b"JSESSIONID".to_vec().into()],
        path_parameter: None,
        header: None,
        query: None,
        route_suffix: false,
        first_contact: FirstContact::Client,
        suspect_hold: Duration::ZERO,
        moves: true,
        fails_back: false,
        releases_on_logout: true,
        cookie: CookiePolicy {
            name: OURS.into(),
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
        learned: learned(),
        contacts: FirstContacts::default(),
    }
}
