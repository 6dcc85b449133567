//! From a checked configuration to a snapshot.

use std::sync::Arc;
use std::time::Duration;

use super::compression::Compression;
use super::endpoint::Endpoint;
use super::layer4;
use super::logs::Logs;
use super::peers::{check_spec, peer};
use super::room::WaitingRoom;
use super::secrets::Secrets;
use super::served::{ErrorPage, RetryPolicy, RouteLimits, ServedListener, ServedPool, Snapshot, ToldHeaders};
use super::tracing::Tracing;
use crate::affinity::{
    CookiePolicy, FirstContact, FirstContacts, Insert, KeyRing, Learned, Mode, Policy, PoolBinding, SameSite,
};
use crate::clock::Now;
use crate::config::Checked;
use crate::config::checked;
use crate::health::{Check, Knock, Over};
use crate::limits::{By, Prefix, Rate, RequestLimit};
use crate::pool::{AdminState, Algorithm, BackendSpec, Ejection, HashSeed, Limits, Pool, PoolSpec};
use crate::route::PoolIndex;
use crate::store::{EngineSettings, KeptPool, SharedTable};
use crate::telemetry::{LossBook, PoolMeter, SessionBook};
use http::{HeaderName, HeaderValue};

impl Snapshot {
    /// Compiles a configuration. Live state is carried over from `before`, by pool name and backend id.
    pub fn compile(checked: Checked, secrets: &Secrets, logs: Logs, before: Option<&Self>, now: Now) -> Self {
        let pools = checked.pools.into_iter().zip(0..=u16::MAX).map(|(pool, index)| {
            let earlier = before.and_then(|before| before.pool_named(&pool.name));
            Arc::new(served(pool, PoolIndex(index), secrets, earlier.map(AsRef::as_ref), now))
        });
        let pools = pools.collect();
        let webhook = checked.webhook.map(|webhook| Arc::new(Endpoint::new(webhook)));
        let listeners = checked.listeners.into_iter().map(|config| {
            let earlier = before.and_then(|before| before.listener_named(&config.name));
            listener(config, &logs, earlier)
        });
        let listeners: Vec<_> = listeners.collect();
        let reserved = listeners.iter().filter_map(|listener| listener.subject_header.clone()).collect();
        let tracing = checked.otlp.map(Tracing::new);
        Self { pools, listeners, webhook, tracing, reserved, logs }
    }
}

fn listener(listener: checked::Listener, logs: &Logs, earlier: Option<&ServedListener>) -> ServedListener {
    let certificates = certificates(&listener);
    let layer4 = layer4::listener(&listener, earlier.and_then(|earlier| earlier.layer4.as_ref()));
    ServedListener {
        route_limits: route_limits(&listener, earlier),
        name: listener.name,
        routes: super::routes::table(listener.routes),
        certificates,
        subject_header: listener.tls.and_then(|tls| tls.subject_header?.try_into().ok()),
        trusted_proxies: listener.trusted_proxies,
        requests: requests(
            listener.limits.requests,
            listener.limits.client,
            earlier.map(|earlier| earlier.requests.as_slice()),
        ),
        headers: told(listener.headers),
        compression: listener.compression.map(Compression::new),
        error_pages: listener.error_pages.into_iter().filter_map(page).collect(),
        body_limit: listener.limits.body_bytes,
        body_timeout: listener.timeouts.body,
        write_timeout: listener.timeouts.write,
        access_log: listener.access_log.and_then(|log| logs.of(log)),
        layer4,
        meter: earlier.map(|earlier| earlier.meter.clone()).unwrap_or_default(),
    }
}

/// The first name of each certificate, and when it ends.
fn certificates(listener: &checked::Listener) -> Vec<(String, i64)> {
    let identities = listener.tls.iter().flat_map(|tls| &tls.settings.identities);
    let certificate = |identity: &Arc<crate::tls::Identity>| {
        (identity.names().first().cloned().unwrap_or_default(), identity.expires_s())
    };
    identities.map(certificate).collect()
}

/// The limits of the snapshot before, where they are the same: a reload forgives nobody.
fn requests(
    limits: Vec<checked::RequestLimit>,
    client: checked::ClientPrefix,
    earlier: Option<&[Arc<RequestLimit>]>,
) -> Vec<Arc<RequestLimit>> {
    let prefix = Prefix { ipv4: client.ipv4, ipv6: client.ipv6 };
    let limit = |limit: checked::RequestLimit| {
        let header = limit.header.and_then(|name| name.try_into().ok());
        let by = match (limit.by, header) {
            (checked::LimitBy::Session, _) => By::Session,
            (checked::LimitBy::Header, Some(header)) => By::Header(header),
            (checked::LimitBy::Client | checked::LimitBy::Header, _) => By::Client(prefix),
        };
        let rate = Rate { requests: limit.requests, per: limit.per, burst: limit.burst };
        let same = earlier.and_then(|earlier| earlier.iter().find(|it| it.is(&by, rate, limit.keys)));
        same.map_or_else(|| Arc::new(RequestLimit::new(by, rate, limit.keys, rand::random())), Arc::clone)
    };
    limits.into_iter().map(limit).collect()
}

/// The limits of routes. Those of a route of the same name go on.
fn route_limits(listener: &checked::Listener, earlier: Option<&ServedListener>) -> Vec<RouteLimits> {
    let limits = |(place, route): (usize, &checked::Route)| {
        let name = super::routes::name(route, place);
        let earlier = earlier.and_then(|earlier| earlier.route_limits.iter().find(|it| it.route == name));
        let before = earlier.map(|earlier| earlier.requests.as_slice());
        RouteLimits {
            requests: requests(route.requests.clone(), listener.limits.client, before),
            meter: earlier.map(|earlier| earlier.meter.clone()).unwrap_or_default(),
            route: name,
        }
    };
    listener.routes.iter().enumerate().map(limits).collect()
}

fn told(headers: checked::Headers) -> ToldHeaders {
    let by = headers.forwarded;
    let named = |name: String| Some((HeaderName::try_from(name.as_str()).ok()?, name.into()));
    ToldHeaders {
        x_forwarded: by != checked::ForwardedBy::Forwarded,
        forwarded: by != checked::ForwardedBy::XForwarded,
        request_id: headers.request_id.and_then(named),
        server: headers.server.and_then(|text| HeaderValue::try_from(text).ok()),
        via: headers.via.map(Into::into),
    }
}

fn page(page: checked::ErrorPage) -> Option<ErrorPage> {
    let checked::ErrorPage { first, last, media_type, body } = page;
    Some(ErrorPage { first, last, media_type: HeaderValue::try_from(media_type).ok()?, body: body.into() })
}

fn served(
    config: checked::Pool,
    index: PoolIndex,
    secrets: &Secrets,
    earlier: Option<&ServedPool>,
    now: Now,
) -> ServedPool {
    let live = |id: &crate::names::BackendId| {
        let earlier = &earlier?.pool;
        Some(Arc::clone(earlier.backend(earlier.find(id.as_str())?)?.live()))
    };
    let check = config.health.check.as_ref().map(|check| Arc::new(check_spec(check, &config)));
    let peers = config.backends.iter().map(|backend| peer(&config, backend)).collect();
    let (tunnel, grpc) = (config.timeouts.tunnel, config.http != checked::HttpVersion::H1);
    let proxy_protocol = config.proxy_protocol;
    let from_client = config.source == checked::ConnectsFrom::Client;
    let retries = RetryPolicy {
        attempts: config.retries.attempts,
        on_connect: config.retries.on_connect,
        on_reset: config.retries.on_reset,
    };
    let binding = PoolBinding::of(&config.name);
    // Each pool hashes with a secret of its own: one application's choices say nothing about another's.
    let seed = HashSeed(
        siphasher::sip128::SipHasher24::new_with_key(&secrets.seed.0)
            .hash(config.name.as_str().as_bytes())
            .as_bytes(),
    );
    let learned = learned(&config.affinity.learn, &seed, earlier, now);
    let binds = config.affinity.mode == checked::AffinityMode::Bind;
    let table = KeptPool::new(config.name.clone(), Arc::clone(&learned), &seed);
    let engine = config.affinity.learn.shared.as_ref().filter(|_| binds);
    let shared = engine.map(|engine| shared(&table, self::engine(engine), earlier));
    let kept = (config.affinity.learn.persist && binds).then_some(table);
    let drains = drains(&config);
    let says_drain =
        matches!(&config.health.check, Some(checked::Check::Http(http)) if http.drain_on.is_some());
    let (flows, connect_timeout) = (config.affinity.clients.map(layer4::flows), config.timeouts.connect);
    let by_udp = check.as_ref().and_then(|spec| match &spec.check {
        Check::Exchange(exchanges) => exchanges.first().filter(|exchange| exchange.over == Over::Udp),
        Check::Tcp | Check::Http(_) => None,
    });
    let udp_knock = Knock::Udp(by_udp.map(Arc::clone));
    let knock = match config.transport {
        checked::Transport::Tcp => Knock::Tcp,
        checked::Transport::Udp => udp_knock.clone(),
    };
    let backends = config.backends.iter().map(|backend| backend.id.clone());
    let meter = PoolMeter::new(backends.clone(), earlier.map(|earlier| &earlier.meter));
    let book = SessionBook::new(backends, config.affinity.learn.idle, earlier.map(|earlier| &earlier.book));
    let backends = config.backends.iter().map(|backend| backend.id.clone());
    let losses = LossBook::new(backends, earlier.map(|earlier| &earlier.losses));
    let room = config.waiting_room.map(|room| WaitingRoom::new(room, &config.name, earlier, now));
    let spec = PoolSpec {
        name: config.name,
        backends: config.backends.into_iter().map(backend).collect(),
        algorithm: match config.balance.algorithm {
            checked::Algorithm::ConsistentHash => Algorithm::ConsistentHash,
            checked::Algorithm::RoundRobin => Algorithm::RoundRobin,
            checked::Algorithm::Random => Algorithm::Random,
            checked::Algorithm::LeastConnections => Algorithm::LeastConnections,
        },
        load_factor: config.balance.load_factor,
        try_home: config.health.try_home,
        slow_start: config.health.slow_start,
        ejection: Ejection {
            consecutive_failures: config.health.passive.consecutive_failures,
            eject: config.health.passive.eject,
        },
        limits: config.limits.map(|limits| Limits {
            connections: limits.connections_per_backend,
            queue_length: limits.queue_length,
            queue_wait: limits.queue_wait,
            existing_sessions_first: limits.existing_sessions_first,
        }),
        seed,
    };
    let pool = Pool::new(spec, live);
    let connection_ids = layer4::connection_ids(config.connection_ids, &pool);
    for (backend, drain) in pool.backends().iter().zip(drains) {
        match drain {
            Some(deadline) => backend.live().drain().begin(deadline, now),
            // As long as its health page may still say so.
            None if says_drain && backend.wanted() == AdminState::Draining => {}
            None => {
                backend.live().set_asks_to_drain(false);
                backend.live().drain().end();
            }
        }
    }
    ServedPool {
        index,
        pool: Arc::new(pool),
        policy: policy(config.affinity, binding, &secrets.keys, learned),
        peers,
        tunnel,
        grpc,
        proxy_protocol,
        from_client,
        retries,
        check,
        kept,
        shared,
        book,
        losses,
        flows,
        connection_ids,
        connect_timeout,
        knock,
        udp_knock,
        room,
        meter,
    }
}

/// The table of the snapshot before, unless its size or what its keys are made with is another one.
fn learned(learn: &checked::Learn, seed: &HashSeed, earlier: Option<&ServedPool>, now: Now) -> Arc<Learned> {
    let earlier = earlier.filter(|earlier| earlier.pool.seed() == seed);
    match earlier.map(|earlier| &earlier.policy.learned) {
        Some(table) if table.is_for(learn.capacity, learn.idle) => Arc::clone(table),
        Some(table) => Arc::new(table.resized(learn.capacity, learn.idle, now)),
        None => Arc::new(Learned::new(learn.capacity, learn.idle)),
    }
}

/// For each backend, how long it may drain, if it drains.
fn drains(config: &checked::Pool) -> Vec<Option<Duration>> {
    let drain = |backend: &checked::Backend| {
        (backend.state == checked::BackendState::Draining)
            .then(|| backend.drain_deadline.unwrap_or(config.drain.deadline))
    };
    config.backends.iter().map(drain).collect()
}

/// Goes on with the connection that there is, if it is still the right one.
fn shared(table: &KeptPool, engine: EngineSettings, earlier: Option<&ServedPool>) -> Arc<SharedTable> {
    let before = earlier.and_then(|earlier| earlier.shared.as_ref());
    match before.filter(|before| before.serves(table, &engine)) {
        Some(before) => Arc::clone(before),
        None => Arc::new(SharedTable::new(table.clone(), engine)),
    }
}

fn engine(shared: &checked::Shared) -> EngineSettings {
    let checked::Shared { host, port, tls, database, user, password, timeout } = shared.clone();
    let password = password.map(|password| String::from_utf8_lossy(&password.0).into_owned().into());
    EngineSettings { host, port, tls, database, user, password, timeout }
}

fn backend(backend: checked::Backend) -> BackendSpec {
    BackendSpec {
        id: backend.id,
        address: backend.address,
        weight: backend.weight,
        admin: match backend.state {
            checked::BackendState::Up => AdminState::Up,
            checked::BackendState::Draining => AdminState::Draining,
            checked::BackendState::Maintenance => AdminState::Maintenance,
        },
    }
}

fn policy(
    affinity: checked::Affinity,
    binding: PoolBinding,
    keys: &Arc<KeyRing>,
    learned: Arc<Learned>,
) -> Policy {
    let bytes = |text: String| text.into_bytes().into_boxed_slice();
    Policy {
        mode: match affinity.mode {
            checked::AffinityMode::Bind => Mode::Bind,
            checked::AffinityMode::Hash => Mode::Hash,
            checked::AffinityMode::None => Mode::None,
        },
        application_cookies: affinity.application_cookies.into_iter().map(bytes).collect(),
        path_parameter: affinity.path_parameter.map(bytes),
        header: affinity.header.and_then(|name| name.try_into().ok()),
        query: affinity.query.map(bytes),
        route_suffix: affinity.route_suffix,
        first_contact: match affinity.first_contact {
            checked::FirstContact::Client => FirstContact::Client,
            checked::FirstContact::Connection => FirstContact::Connection,
            checked::FirstContact::Balance => FirstContact::Balance,
        },
        suspect_hold: affinity.suspect_hold,
        moves: affinity.on_lost_backend == checked::OnLostBackend::Move,
        fails_back: affinity.fail_back,
        releases_on_logout: affinity.release_on_logout,
        cookie: cookie(affinity.cookie, &binding),
        keys: Arc::clone(keys),
        binding,
        learned,
        contacts: FirstContacts::default(),
    }
}

fn cookie(cookie: checked::LbCookie, binding: &PoolBinding) -> CookiePolicy {
    let toggle = |toggle| match toggle {
        checked::Toggle::Auto => None,
        checked::Toggle::On => Some(true),
        checked::Toggle::Off => Some(false),
    };
    CookiePolicy {
        name: cookie.name.unwrap_or_else(|| format!("steadfast-{}", binding.suffix())).into_boxed_str(),
        insert: match cookie.insert {
            checked::Insert::WhenNeeded => Insert::WhenNeeded,
            checked::Insert::Always => Insert::Always,
            checked::Insert::Never => Insert::Never,
        },
        domain: cookie.domain.map(String::into_boxed_str),
        secure: toggle(cookie.secure),
        http_only: cookie.http_only,
        same_site: cookie.same_site.map(|same_site| match same_site {
            checked::SameSite::Strict => SameSite::Strict,
            checked::SameSite::Lax => SameSite::Lax,
            checked::SameSite::None => SameSite::None,
        }),
        partitioned: toggle(cookie.partitioned),
        idle: cookie.idle,
        lifetime: cookie.lifetime,
    }
}
