//! What a snapshot holds: listeners and pools, compiled.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use pingora::upstreams::peer::HttpPeer;

use super::compression::Compression;
use super::endpoint::Endpoint;
use super::layer4::ServedLayer4;
use super::logs::Logs;
use super::room::WaitingRoom;
use super::tracing::Tracing;
use crate::affinity::{ConnectionIds, FlowPolicy, Policy};
use crate::clock::Now;
use crate::health::{CheckSpec, Knock, Watched};
use crate::limits::RequestLimit;
use crate::names::{BackendIndex, ListenerName, PoolName, ProxyVersion};
use crate::pool::{Backend, Pool};
use crate::route::{PoolIndex, RouteTable};
use crate::store::{KeptPool, SharedTable};
use crate::telemetry::{
    AccessLog, LimitMeter, ListenerMeter, LiveCount, LossBook, PoolMeter, Report, SessionBook, Traffic,
};

/// Everything compiled from one configuration.
#[derive(Debug)]
pub struct Snapshot {
    /// The listeners, in the order of the configuration.
    pub listeners: Vec<ServedListener>,
    /// Header fields that only we may set: what clients send under these names is dropped, on every listener.
    pub reserved: Vec<HeaderName>,
    /// The access logs that are open.
    pub logs: Logs,
    /// The pools, in the order of the configuration.
    pub pools: Vec<Arc<ServedPool>>,
    /// Where alerts are posted, if anywhere.
    pub webhook: Option<Arc<Endpoint>>,
    /// Where spans are exported, if they are.
    pub tracing: Option<Tracing>,
}

impl Snapshot {
    /// The pool at a place of this very snapshot.
    pub fn pool(&self, index: PoolIndex) -> Option<&Arc<ServedPool>> {
        self.pools.get(index.position())
    }

    /// The pool of that name.
    pub fn pool_named(&self, name: &PoolName) -> Option<&Arc<ServedPool>> {
        self.pools.iter().find(|served| served.pool.name() == name)
    }

    /// The listener of that name.
    pub fn listener_named(&self, name: &ListenerName) -> Option<&ServedListener> {
        self.listeners.iter().find(|listener| listener.name == *name)
    }

    /// What there is to watch.
    pub fn watched(&self) -> Vec<Watched> {
        let watched = |served: &Arc<ServedPool>| Watched {
            pool: Arc::clone(&served.pool),
            check: served.check.clone(),
            hold: served.policy.suspect_hold,
            knock: served.knock.clone(),
        };
        self.pools.iter().map(watched).collect()
    }

    /// The pools whose learned sessions the state folder keeps.
    pub fn kept(&self) -> Vec<KeptPool> {
        self.pools.iter().filter_map(|served| served.kept.clone()).collect()
    }

    /// The learned tables that replicas share.
    pub fn shared(&self) -> Vec<Arc<SharedTable>> {
        self.pools.iter().filter_map(|served| served.shared.clone()).collect()
    }
}

/// One listener, as requests see it.
#[derive(Debug)]
pub struct ServedListener {
    /// Its name.
    pub name: ListenerName,
    /// Its routes.
    pub routes: RouteTable,
    /// The header field that tells backends the subject of a client's certificate.
    pub subject_header: Option<HeaderName>,
    /// Whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Limits of requests in a time.
    pub requests: Vec<Arc<RequestLimit>>,
    /// Those of its routes, by their places.
    pub route_limits: Vec<RouteLimits>,
    /// What backends and clients are told about a request.
    pub headers: ToldHeaders,
    /// How responses are written shorter, if they are.
    pub compression: Option<Compression>,
    /// Pages of our own answers, the narrower ones first.
    pub error_pages: Vec<ErrorPage>,
    /// Bytes of a request body.
    pub body_limit: Option<u64>,
    /// Between two reads of a request body.
    pub body_timeout: Duration,
    /// For one write to the client.
    pub write_timeout: Duration,
    /// Its certificates: the first name of each, and when it ends, in seconds since 1970.
    pub certificates: Vec<(String, i64)>,
    /// Its access log.
    pub access_log: Option<AccessLog>,
    /// What it speaks instead of HTTP, if it does not.
    pub layer4: Option<ServedLayer4>,
    /// Counts what it answers by itself.
    pub meter: ListenerMeter,
}

/// Limits of the requests that one route takes.
#[derive(Debug)]
pub struct RouteLimits {
    /// The route's name.
    pub route: String,
    /// Limits of requests in a time.
    pub requests: Vec<Arc<RequestLimit>>,
    /// Counts those that were one too many.
    pub meter: LimitMeter,
}

/// What backends and clients are told about a request.
#[derive(Debug)]
pub struct ToldHeaders {
    /// Whether backends get `X-Forwarded-*`, which is then also what trusted proxies are believed.
    pub x_forwarded: bool,
    /// Whether backends get `Forwarded`.
    pub forwarded: bool,
    /// The field of the request's id: as it is looked up, and as it is written.
    pub request_id: Option<(HeaderName, Box<str>)>,
    /// What `Server` says to clients.
    pub server: Option<HeaderValue>,
    /// What is added to `Via`, after the protocol's version.
    pub via: Option<Box<str>>,
}

/// The page of one of our own answers.
#[derive(Debug)]
pub struct ErrorPage {
    /// From this status.
    pub first: u16,
    /// To this one.
    pub last: u16,
    /// Its media type.
    pub media_type: HeaderValue,
    /// Its text.
    pub body: Bytes,
}

/// One pool, with everything that a request needs of it.
#[derive(Debug)]
pub struct ServedPool {
    /// Its place in the snapshot.
    pub index: PoolIndex,
    /// Its backends.
    pub pool: Arc<Pool>,
    /// Its affinity.
    pub policy: Policy,
    /// How each backend is connected to, in the pool's order.
    pub(super) peers: Vec<HttpPeer>,
    /// How long both sides of a tunnel or a stream may be silent.
    pub tunnel: Duration,
    /// Whether backends may be spoken to in HTTP/2, which gRPC needs.
    pub grpc: bool,
    /// How backends are told of the client before anything else, if so.
    pub proxy_protocol: Option<ProxyVersion>,
    /// Whether connections of layer 4 come from the client's address.
    pub from_client: bool,
    /// When a request is tried again.
    pub retries: RetryPolicy,
    /// Its active check.
    pub check: Option<Arc<CheckSpec>>,
    /// Its learned sessions, where the state folder keeps them.
    pub kept: Option<KeptPool>,
    /// Its learned sessions, where replicas share them.
    pub shared: Option<Arc<SharedTable>>,
    /// What became of its sessions.
    pub book: SessionBook,
    /// Whose sessions were lost.
    pub losses: LossBook,
    /// Where new visitors wait, if anywhere.
    pub room: Option<WaitingRoom>,
    /// In a pool of layer 4: how clients are told apart. `policy.learned` is its flow table.
    pub flows: Option<FlowPolicy>,
    /// In a pool of UDP: what connection ids of QUIC say of backends.
    pub connection_ids: Option<ConnectionIds>,
    /// For a connection to a backend.
    pub connect_timeout: Duration,
    /// How a suspect backend is probed when nobody else has found it suspect.
    pub knock: Knock,
    /// The same where UDP has found it suspect.
    pub udp_knock: Knock,
    /// What its requests came to.
    pub meter: PoolMeter,
}

impl ServedPool {
    /// How many sessions live on a backend; for whoever waits until it is drained. The learned ones are counted one by
    /// one, so ask now and then, not with each request.
    pub fn sessions_left(&self, index: BackendIndex, now: Now) -> LiveCount {
        let tag = self.pool.backend(index).map(Backend::tag);
        let learned = self.policy.learned.count_by_backend(now);
        LiveCount {
            learned: tag.and_then(|tag| learned.get(&tag).copied()).unwrap_or(0),
            by_token: self.book.by_token(index, now),
        }
    }

    /// The session book as it stands.
    pub fn sessions(&self, now: Now) -> Report {
        let learned = self.policy.learned.count_by_backend(now);
        let of = |index| learned.get(&self.pool.backend(index)?.tag()).copied();
        self.book.report(now, |index| of(index).unwrap_or(0))
    }

    /// What its requests came to, as it stands.
    pub fn traffic(&self) -> Traffic {
        self.meter.traffic()
    }

    /// How a backend is connected to.
    pub fn peer(&self, index: BackendIndex) -> Option<&HttpPeer> {
        self.peers.get(index.position())
    }
}

/// When a request is tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryPolicy {
    /// Tries after the first.
    pub attempts: u32,
    /// After a connection could not be made.
    pub on_connect: bool,
    /// After a reset before the first response byte, idempotent methods only.
    pub on_reset: bool,
}
