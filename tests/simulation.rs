//! The promises of affinity, checked over random histories of a simulated application.
//!
//! Servers keep sessions in memory, rotate ids at login and forget them at logout; they die, come back, drain,
//! are added and removed, and restart without being noticed, by all replicas or by some; connections to them fail for a moment, and their places are taken by others. Two applications share a host, a pool and a cookie name under different paths.
//! Clients are browsers, browsers that lose our cookie, and clients without cookies; each request may go to
//! another replica, and responses arrive late and out of order. After each step the promises must hold.
//!
//! `SIMULATION_CASES` sets the number of histories. A failing one is shrunk and printed.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test: whatever is not as it should be is to fail it"
)]

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use proptest::prelude::*;
use steadfast::affinity::{
    self, Circumstance, CookiePolicy, Decision, Entropy, Evidence, FirstContact, FirstContacts, Insert,
    Keeps, Key, KeyRing, Learned, Mode, Policy, PoolBinding, RequestView, ResponseView, TOKEN_LENGTH,
    Verdict,
};
use steadfast::clock::Now;
use steadfast::names::{BackendId, PoolName, Reason};
use steadfast::pool::{
    AdminState, Algorithm, Asker, BackendSpec, CheckVerdict, Ejection, Entry, HashSeed, Limits, Permit, Pool,
    PoolSpec, State, Waiting,
};
use tokio::sync::oneshot::error::TryRecvError;

const REPLICAS: usize = 3;
const BACKENDS: usize = 5;
const CLIENTS: usize = 6;
const LB_COOKIE: &str = "LB";
const SEED: HashSeed = HashSeed([11; 16]);
const EJECTION: Ejection = Ejection { consecutive_failures: 5, eject: Duration::from_secs(10) };
const LIMITS: Limits = Limits {
    connections: 2,
    queue_length: 3,
    queue_wait: Duration::from_secs(5),
    existing_sessions_first: true,
};

/// Rings of a rotation as operators do it: the next key is known before it seals, so that replicas may apply
/// each step late.
static RINGS: LazyLock<Vec<Arc<KeyRing>>> = LazyLock::new(|| {
    let key = |n: u8| Key::new(&n.to_string(), &[n; 32].into());
    let older = |n: u8| (0..=n + 1).filter(|other| *other != n).map(key).collect();
    (0..4_u8).map(|n| Arc::new(KeyRing::new(key(n), older(n)))).collect()
});

#[derive(Clone, Debug)]
enum Action {
    /// A client sends a request to an application over a replica.
    Send { client: usize, replica: usize, context: usize, kind: Kind },
    /// A response arrives at its client.
    Deliver { which: usize },
    /// A backend dies, and its sessions with it. Every replica notices.
    Kill { backend: usize },
    /// A backend dies, and nobody has noticed yet.
    Die { backend: usize },
    /// A connection of somebody else fails, whatever the reason: the replica suspects the backend.
    Suspect { backend: usize, replica: usize },
    /// Others take places of a backend at a replica, and wait for some; with 0 they all leave.
    Crowd { backend: usize, replica: usize, others: usize },
    /// A backend restarts within one health interval: its sessions are gone, and no check has seen it.
    RestartUnnoticed { backend: usize },
    /// A replica concludes from lost sessions that a backend has restarted; how long before, it does not know
    /// exactly. Others may never.
    Conclude { backend: usize, replica: usize, early_s: u32 },
    /// A backend is back, empty.
    Return { backend: usize },
    /// Its health page fails, while the application serves.
    PageFails { backend: usize },
    /// The operator changes what he wants of a backend.
    Operate { backend: usize, admin: AdminState },
    /// The operator changes a weight, or with 0 takes the backend out of the configuration.
    Weigh { backend: usize, weight: u16 },
    /// Time passes.
    Wait { seconds: u64 },
    /// The keys are rotated; replicas apply it one by one.
    Rotate { replica: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Page,
    Login,
    Logout,
    Fails,
}

/// What a client does with cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    Browser,
    /// Keeps only the application's own cookie; stays with one replica.
    DropsOurs,
    /// Follows links with `;jsessionid=`; stays with one replica.
    NoCookies,
}

fn habit(client: usize) -> Habit {
    match client % 6 {
        0..4 => Habit::Browser,
        4 => Habit::DropsOurs,
        _ => Habit::NoCookies,
    }
}

struct Backend {
    /// Session id → application.
    sessions: HashMap<String, usize>,
    alive: bool,
    configured: bool,
    admin: AdminState,
    weight: u16,
    /// When it last restarted unnoticed, in seconds since 1970.
    restarted_s: Option<u32>,
}

struct Replica {
    pool: Pool,
    policy: Policy,
    ring: usize,
    /// Requests of others in flight, and those that wait, by backend.
    crowds: [(Vec<Permit>, Vec<Waiting>); BACKENDS],
}

#[derive(Default, Clone)]
struct Jar {
    application: [Option<String>; 2],
    ours: Option<String>,
}

struct Response {
    client: usize,
    context: usize,
    application: Option<Option<String>>,
    ours: Option<Option<String>>,
}

struct World {
    now: Now,
    backends: Vec<Backend>,
    replicas: Vec<Replica>,
    jars: Vec<Jar>,
    under_way: Vec<Response>,
    next_id: u64,
    random: u64,
}

impl World {
    fn new() -> Self {
        let backend = |_| Backend {
            sessions: HashMap::new(),
            alive: true,
            configured: true,
            admin: AdminState::Up,
            weight: 1,
            restarted_s: None,
        };
        let mut world = Self {
            now: Now { monotonic_ms: 1_000_000, unix_s: 1_700_000_000 },
            backends: (0..BACKENDS).map(backend).collect(),
            replicas: Vec::new(),
            jars: vec![Jar::default(); CLIENTS],
            under_way: Vec::new(),
            next_id: 0,
            random: 1,
        };
        world.replicas = (0..REPLICAS)
            .map(|_| Replica {
                pool: world.pool(None),
                policy: policy(Arc::clone(&RINGS[0])),
                ring: 0,
                crowds: Default::default(),
            })
            .collect();
        world
    }

    fn pool(&self, before: Option<&Pool>) -> Pool {
        let configured = self.backends.iter().enumerate().filter(|(_, backend)| backend.configured);
        let spec = PoolSpec {
            name: PoolName::new("app"),
            backends: configured
                .map(|(n, backend)| BackendSpec {
                    id: BackendId::new(&name(n)),
                    address: "127.0.0.1:80".parse().unwrap(),
                    weight: backend.weight,
                    admin: backend.admin,
                })
                .collect(),
            algorithm: Algorithm::ConsistentHash,
            load_factor: 1.25,
            try_home: true,
            slow_start: Duration::ZERO,
            ejection: EJECTION,
            limits: Some(LIMITS),
            seed: SEED,
        };
        Pool::new(spec, |id| {
            let before = before?;
            Some(Arc::clone(before.backend(before.find(id.as_str())?)?.live()))
        })
    }

    fn reconfigure(&mut self) {
        for n in 0..REPLICAS {
            let pool = self.pool(Some(&self.replicas[n].pool));
            self.replicas[n].pool = pool;
            self.replicas[n].policy.contacts = FirstContacts::default();
            for gone in (0..BACKENDS).filter(|n| !self.backends[*n].configured) {
                self.replicas[n].crowds[gone] = Default::default();
            }
        }
        // A backend that is added counts as up until it is looked at.
        for dead in (0..BACKENDS).filter(|n| !self.backends[*n].alive) {
            self.verdict(dead, CheckVerdict::Unreachable);
        }
    }

    fn verdict(&self, backend: usize, verdict: CheckVerdict) {
        for replica in &self.replicas {
            if let Some(index) = replica.pool.find(&name(backend)) {
                replica.pool.backend(index).unwrap().live().check_verdict(verdict, self.now);
            }
        }
    }

    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.random
    }

    fn act(&mut self, action: &Action) -> Result<(), TestCaseError> {
        match *action {
            Action::Send { client, replica, context, kind } => self.send(client, replica, context, kind)?,
            Action::Deliver { which } => {
                if !self.under_way.is_empty() {
                    let response = self.under_way.remove(which % self.under_way.len());
                    self.deliver(response);
                }
            }
            Action::Kill { backend } => {
                self.backends[backend].alive = false;
                self.backends[backend].sessions.clear();
                self.verdict(backend, CheckVerdict::Unreachable);
                self.all_replicas_choose_one_successor()?;
            }
            Action::Die { backend } => {
                self.backends[backend].alive = false;
                self.backends[backend].sessions.clear();
            }
            Action::Suspect { backend, replica } => {
                let pool = &self.replicas[replica].pool;
                if let Some(backend) = pool.find(&name(backend)).and_then(|index| pool.backend(index))
                    && backend.state(self.now) == State::Up
                {
                    backend.live().connection_failed(self.now, &EJECTION);
                }
            }
            Action::Crowd { backend, replica, others } => self.crowd(backend, replica, others),
            Action::RestartUnnoticed { backend } => {
                if self.backends[backend].alive {
                    self.backends[backend].sessions.clear();
                    self.backends[backend].restarted_s = u32::try_from(self.now.unix_s).ok();
                }
            }
            Action::Conclude { backend, replica, early_s } => {
                let pool = &self.replicas[replica].pool;
                if let (Some(restarted_s), Some(index)) =
                    (self.backends[backend].restarted_s, pool.find(&name(backend)))
                {
                    pool.backend(index).unwrap().live().raise_epoch(restarted_s - early_s);
                }
            }
            Action::Return { backend } => {
                self.backends[backend].alive = true;
                self.verdict(backend, CheckVerdict::Up);
            }
            Action::PageFails { backend } => {
                if self.backends[backend].alive {
                    self.verdict(backend, CheckVerdict::Unhealthy);
                }
            }
            Action::Operate { backend, admin } => {
                self.backends[backend].admin = admin;
                if admin == AdminState::Maintenance {
                    // Its sessions move, so what it still remembers of them counts for nothing.
                    self.backends[backend].sessions.clear();
                }
                self.reconfigure();
            }
            Action::Weigh { backend, weight } => {
                self.backends[backend].configured = weight > 0;
                if weight == 0 {
                    self.backends[backend].sessions.clear();
                }
                self.backends[backend].weight = weight.max(1);
                self.reconfigure();
            }
            Action::Wait { seconds } => self.now = self.now.after(Duration::from_secs(seconds)),
            Action::Rotate { replica } => {
                let replica = &mut self.replicas[replica];
                replica.ring = (replica.ring + 1).min(RINGS.len() - 1);
                replica.policy.keys = Arc::clone(&RINGS[replica.ring]);
            }
        }
        // The next step of a rotation waits until every replica has taken the last one.
        let slowest = self.replicas.iter().map(|replica| replica.ring).min().unwrap();
        for replica in &mut self.replicas {
            if replica.ring > slowest + 1 {
                replica.ring = slowest + 1;
                replica.policy.keys = Arc::clone(&RINGS[replica.ring]);
            }
        }
        Ok(())
    }

    /// The request's headers and target, as the client would send them.
    fn request(&self, client: usize, context: usize, extra: &str) -> (HeaderMap, String) {
        let jar = &self.jars[client];
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("app"));
        headers.insert(header::USER_AGENT, HeaderValue::from_str(&format!("client {client}")).unwrap());
        let mut target = format!("/context{context}/page");
        let mut cookies = Vec::new();
        match (habit(client), &jar.application[context]) {
            (Habit::NoCookies, Some(id)) => target.push_str(&format!(";jsessionid={id}")),
            (Habit::Browser | Habit::DropsOurs, Some(id)) => cookies.push(format!("JSESSIONID={id}")),
            (_, None) => {}
        }
        if let (Habit::Browser, Some(token)) = (habit(client), &jar.ours) {
            cookies.push(format!("{LB_COOKIE}={token}"));
        }
        if !extra.is_empty() {
            cookies.push(extra.to_owned());
        }
        if !cookies.is_empty() {
            headers.insert(header::COOKIE, HeaderValue::from_str(&cookies.join("; ")).unwrap());
        }
        (headers, target)
    }

    fn decide(&self, client: usize, replica: usize, context: usize, extra: &str) -> (Evidence, Verdict) {
        let replica = &self.replicas[replica];
        let (headers, target) = self.request(client, context, extra);
        let request = RequestView {
            target: target.as_bytes(),
            headers: &headers,
            client: IpAddr::from([10, 0, 0, 1]),
            connection_choice: None,
            named_session: None,
        };
        let evidence = Evidence::read(&request, &replica.policy, &replica.pool, self.now);
        let at = Circumstance { now: self.now, draw: 7, held: false };
        let verdict = affinity::decide(&evidence, &replica.policy, &replica.pool, at);
        (evidence, verdict)
    }

    /// Decides, waits for the probe of a suspect backend, and tries the next one where nobody answers, as the shell does.
    fn settle(
        &self,
        client: usize,
        replica: usize,
        context: usize,
    ) -> Result<(Evidence, Option<Decision>), TestCaseError> {
        for _ in 0..3 * BACKENDS {
            let (evidence, verdict) = self.decide(client, replica, context, "");
            let decision = match verdict {
                Verdict::To(decision) => decision,
                Verdict::Refuse(_) => return Ok((evidence, None)),
                Verdict::Hold(home) => {
                    let replica = &self.replicas[replica];
                    let home = replica.pool.backend(home).unwrap();
                    prop_assert!(home.is_suspect(self.now), "held for a backend that nobody suspects");
                    let alive = self.backends[number(home)].alive;
                    home.live().probe_result(alive, self.now, &EJECTION);
                    continue;
                }
            };
            let pool = &self.replicas[replica].pool;
            let backend = pool.backend(decision.backend).unwrap();
            if self.backends[number(backend)].alive {
                backend.live().request_succeeded(self.now);
                return Ok((evidence, Some(decision)));
            }
            prop_assert!(
                backend.takes_existing(self.now, true),
                "sent to a backend that is known to be dead"
            );
            backend.live().connection_failed(self.now, &EJECTION);
        }
        Err(TestCaseError::fail("it never comes to an end"))
    }

    /// A full backend makes its session wait, and the next place is the session's, whoever has waited longer.
    fn is_let_in(&mut self, replica: usize, decision: &Decision) -> Result<(), TestCaseError> {
        let replica = &mut self.replicas[replica];
        let backend = replica.pool.backend(decision.backend).unwrap();
        let (inside, outside) = &mut replica.crowds[number(backend)];
        match backend.live().ask(Some(&LIMITS), decision.reason.into(), decision.backend) {
            Entry::Go(_) => {}
            Entry::Full => {
                let new = Asker::from(decision.reason) != Asker::Existing;
                prop_assert!(new && !outside.is_empty(), "bounded: a session was sent away");
            }
            Entry::Wait(mut waiting) => {
                prop_assert!(!inside.is_empty(), "waits for a place that is free");
                inside.pop();
                let first = Asker::from(decision.reason) == Asker::Existing || outside.is_empty();
                prop_assert_eq!(waiting.try_place().is_ok(), first, "running sessions come first");
            }
        }
        for mut waiting in std::mem::take(outside) {
            match waiting.try_place() {
                Ok(place) => inside.push(place.permit),
                Err(TryRecvError::Empty) => outside.push(waiting),
                // It lost its turn to a running session.
                Err(TryRecvError::Closed) => {}
            }
        }
        Ok(())
    }

    fn crowd(&mut self, backend: usize, replica: usize, others: usize) {
        let Replica { pool, crowds, .. } = &mut self.replicas[replica];
        let (inside, outside) = &mut crowds[backend];
        if others == 0 {
            outside.clear();
            inside.clear();
        }
        let Some(index) = pool.find(&name(backend)) else { return };
        let Some(backend) = pool.backend(index) else { return };
        for _ in 0..others {
            match backend.live().ask(Some(&LIMITS), Asker::New, index) {
                Entry::Go(permit) => inside.push(permit),
                Entry::Wait(waiting) => outside.push(waiting),
                Entry::Full => {}
            }
        }
    }

    fn send(
        &mut self,
        client: usize,
        replica: usize,
        context: usize,
        kind: Kind,
    ) -> Result<(), TestCaseError> {
        let replica = if habit(client) == Habit::Browser { replica } else { 0 };
        // A user is in one application at a time: what another still has under way arrives first.
        while let Some(other) =
            self.under_way.iter().position(|it| it.client == client && it.context != context)
        {
            let response = self.under_way.remove(other);
            self.deliver(response);
        }
        self.is_not_steered(client, replica, context)?;
        let (evidence, decision) = self.settle(client, replica, context)?;
        let presented = self.jars[client].application[context].clone();
        let home = presented.as_ref().and_then(|id| self.home(id, context));
        let Some(decision) = decision else {
            let can_serve = home.is_some_and(|home| self.serves_existing(home));
            prop_assert!(!can_serve, "steady: refused although its backend serves");
            return Ok(());
        };
        let chosen = number(self.replicas[replica].pool.backend(decision.backend).unwrap());
        if let Some(home) = home
            && self.serves_existing(home)
        {
            prop_assert_eq!(chosen, home, "steady: client {} went away ({})", client, decision.reason);
        }
        if matches!(decision.reason, Reason::New | Reason::Hash | Reason::Moved) {
            prop_assert_eq!(self.backends[chosen].admin, AdminState::Up, "drained: {}", decision.reason);
        }
        self.is_let_in(replica, &decision)?;
        affinity::note(
            &decision,
            &evidence,
            &self.replicas[replica].policy,
            &self.replicas[replica].pool,
            self.now,
        );
        let (status, headers, application) = self.serve(chosen, context, kind, presented.as_deref());
        let binding = {
            let replica = &self.replicas[replica];
            let response = ResponseView { status, headers: &headers, preflight: false, secure: false };
            let entropy = Entropy { nonce: [self.random.to_le_bytes()[0]; 12], seed: self.random };
            let mut binding = affinity::bind(
                &replica.policy,
                &replica.pool,
                &evidence,
                &decision,
                &response,
                self.now,
                || entropy,
            );
            binding.remember(&replica.policy, self.now);
            // Far too few sessions for a verdict: what a replica concludes is an action of its own.
            let backend = replica.pool.backend(decision.backend).unwrap();
            prop_assert_eq!(binding.testify(backend, self.now), None);
            binding.only_in_token(&replica.policy, self.now);
            binding
        };
        self.next_random();
        let ours = binding.set_cookie.as_ref().map(|line| self.our_cookie(line)).transpose()?;
        self.under_way.push(Response { client, context, application, ours });
        Ok(())
    }

    /// What the application does: its `Set-Cookie`, and what a client will hold of it.
    fn serve(
        &mut self,
        backend: usize,
        context: usize,
        kind: Kind,
        presented: Option<&str>,
    ) -> (StatusCode, HeaderMap, Option<Option<String>>) {
        let mut headers = HeaderMap::new();
        self.next_id += 1;
        let fresh = format!("id{}", self.next_id);
        let sessions = &mut self.backends[backend].sessions;
        let known = presented.filter(|id| sessions.get(*id) == Some(&context));
        let mut set = |value: &str| headers.append(header::SET_COOKIE, HeaderValue::from_str(value).unwrap());
        match kind {
            Kind::Fails => (StatusCode::INTERNAL_SERVER_ERROR, headers, None),
            Kind::Logout if known.is_some() => {
                sessions.remove(known.unwrap());
                set(&format!("JSESSIONID=; Max-Age=0; Path=/context{context}"));
                (StatusCode::OK, headers, Some(None))
            }
            Kind::Page | Kind::Logout if known.is_some() => (StatusCode::OK, headers, None),
            Kind::Page | Kind::Login | Kind::Logout => {
                if let Some(old) = known {
                    sessions.remove(old);
                }
                sessions.insert(fresh.clone(), context);
                set(&format!("JSESSIONID={fresh}; Path=/context{context}; HttpOnly"));
                (StatusCode::OK, headers, Some(Some(fresh)))
            }
        }
    }

    /// Our line in a response: a token, or its deletion.
    fn our_cookie(&self, line: &HeaderValue) -> Result<Option<String>, TestCaseError> {
        let cookie = affinity::parse_set_cookie(line.as_bytes(), self.now.unix_s).unwrap();
        prop_assert_eq!(cookie.name, LB_COOKIE.as_bytes());
        if cookie.keeps == Keeps::Deleted {
            return Ok(None);
        }
        prop_assert_eq!(cookie.value.len(), TOKEN_LENGTH, "a token has one length");
        Ok(Some(String::from_utf8(cookie.value.to_vec()).unwrap()))
    }

    fn deliver(&mut self, response: Response) {
        let jar = &mut self.jars[response.client];
        if let Some(application) = response.application {
            jar.application[response.context] = application;
        }
        if let Some(ours) = response.ours {
            jar.ours = ours;
        }
    }

    /// The backend on which a session lives.
    fn home(&self, id: &str, context: usize) -> Option<usize> {
        self.backends.iter().position(|backend| backend.sessions.get(id) == Some(&context))
    }

    fn serves_existing(&self, backend: usize) -> bool {
        let backend = &self.backends[backend];
        backend.alive && backend.configured && backend.admin != AdminState::Maintenance
    }

    /// Moved once: whatever replica is asked, a browser whose backend has died gets the same successor.
    fn all_replicas_choose_one_successor(&self) -> Result<(), TestCaseError> {
        for client in (0..CLIENTS).filter(|client| habit(*client) == Habit::Browser) {
            let mut chosen = BTreeMap::new();
            for replica in 0..REPLICAS {
                let (_, decision) = self.settle(client, replica, 0)?;
                if let Some(decision) = decision.filter(|decision| decision.reason == Reason::Moved) {
                    let backend = self.replicas[replica].pool.backend(decision.backend).unwrap();
                    chosen.insert(number(backend), replica);
                }
            }
            prop_assert!(chosen.len() <= 1, "moved once: client {client} would go to {chosen:?}");
        }
        Ok(())
    }

    /// Not steered: junk in our cookie's name changes nothing.
    fn is_not_steered(&self, client: usize, replica: usize, context: usize) -> Result<(), TestCaseError> {
        let junk = format!("{LB_COOKIE}=AT{}", "x".repeat(TOKEN_LENGTH - 2));
        let (_, honest) = self.decide(client, replica, context, "");
        let (_, steered) = self.decide(client, replica, context, &junk);
        prop_assert_eq!(honest, steered, "not steered");
        Ok(())
    }
}

fn name(backend: usize) -> String {
    format!("b{backend}")
}

fn number(backend: &steadfast::pool::Backend) -> usize {
    backend.id().to_string()[1..].parse().unwrap()
}

fn policy(keys: Arc<KeyRing>) -> Policy {
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
            name: LB_COOKIE.into(),
            insert: Insert::WhenNeeded,
            domain: None,
            secure: None,
            http_only: true,
            same_site: None,
            partitioned: None,
            idle: None,
            lifetime: None,
        },
        keys,
        binding: PoolBinding::of(&PoolName::new("app")),
        learned: Arc::new(Learned::new(10_000, Duration::from_secs(3600))),
        contacts: FirstContacts::default(),
    }
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![8 => Just(Kind::Page), 2 => Just(Kind::Login), 1 => Just(Kind::Logout), 1 => Just(Kind::Fails)]
}

fn admin() -> impl Strategy<Value = AdminState> {
    prop_oneof![3 => Just(AdminState::Up), 2 => Just(AdminState::Draining), 1 => Just(AdminState::Maintenance)]
}

fn action() -> impl Strategy<Value = Action> {
    let send = (0..CLIENTS, 0..REPLICAS, 0..2_usize, kind())
        .prop_map(|(client, replica, context, kind)| Action::Send { client, replica, context, kind });
    prop_oneof![
        12 => send,
        12 => (0..8_usize).prop_map(|which| Action::Deliver { which }),
        1 => (0..BACKENDS).prop_map(|backend| Action::Kill { backend }),
        1 => (0..BACKENDS).prop_map(|backend| Action::Die { backend }),
        1 => (0..BACKENDS, 0..REPLICAS).prop_map(|(backend, replica)| Action::Suspect { backend, replica }),
        1 => (0..BACKENDS, 0..REPLICAS, 0..6_usize)
            .prop_map(|(backend, replica, others)| Action::Crowd { backend, replica, others }),
        2 => (0..BACKENDS).prop_map(|backend| Action::Return { backend }),
        1 => (0..BACKENDS).prop_map(|backend| Action::RestartUnnoticed { backend }),
        1 => (0..BACKENDS, 0..REPLICAS, prop_oneof![2 => Just(0), 1 => 0..100_u32])
            .prop_map(|(backend, replica, early_s)| Action::Conclude { backend, replica, early_s }),
        1 => (0..BACKENDS).prop_map(|backend| Action::PageFails { backend }),
        1 => (0..BACKENDS, admin()).prop_map(|(backend, admin)| Action::Operate { backend, admin }),
        1 => (0..BACKENDS, 0..3_u16).prop_map(|(backend, weight)| Action::Weigh { backend, weight }),
        1 => (1..50_u64).prop_map(|seconds| Action::Wait { seconds }),
        1 => (0..REPLICAS).prop_map(|replica| Action::Rotate { replica }),
    ]
}

fn cases() -> u32 {
    std::env::var("SIMULATION_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(30_000)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_promises_hold_over_random_histories(history in proptest::collection::vec(action(), 1..60)) {
        let mut world = World::new();
        for action in &history {
            world.act(action)?;
        }
    }
}
