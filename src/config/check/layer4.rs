//! Layer 4: which pools it uses, and which keys mean nothing there, or nothing anywhere else.

use std::collections::{HashMap, HashSet};

use super::routes::{pool, pools_of};
use super::{Surroundings, udp};
use crate::config::checked::{Clients, ConnectsFrom, Layer4, Tcp, TlsRoute, Transport};
use crate::config::collections::Named;
use crate::config::model;
use crate::config::network::ListenAt;
use crate::config::patterns::HostPattern;
use crate::config::read::Spanned;
use crate::config::report::{Code, Place};
use crate::config::text::{Name, Text};
use crate::config::words::{Protocol, Word};
use crate::names::ListenAddress;

/// The pools that listeners of layer 4 use.
#[derive(Debug, Default)]
pub(super) struct Layer4Pools {
    pools: HashMap<String, Transport>,
    /// Those that listeners of UDP use.
    datagrams: HashSet<String>,
}

/// What to do with `quic` in a pool that no listener of UDP uses.
const NEEDS_UDP: &str = "remove it, or let a listener with `protocol: udp` use the pool";

impl Layer4Pools {
    pub(super) fn has(&self, name: &Spanned<Name>) -> bool {
        name.get().is_some_and(|Name(name)| self.pools.contains_key(name))
    }

    /// Whether nothing but TCP is spoken to a pool's backends.
    pub(super) fn is_of_tcp(&self, name: &Spanned<Name>) -> bool {
        let of_udp = |Name(name): &Name| self.datagrams.contains(name);
        self.has(name) && !name.get().is_some_and(of_udp)
    }

    /// By what a pool's backends are reached.
    pub(super) fn transport(&self, name: &Spanned<Name>) -> Transport {
        let of = |Name(name): &Name| self.pools.get(name).copied();
        name.get().and_then(of).unwrap_or(Transport::Tcp)
    }
}

/// A key that the file may say, its place, and what to do where it means nothing.
pub(super) type Key<'m> = (bool, &'m Place, &'static str);

pub(super) fn key<'m, T>(spanned: &'m Spanned<T>, help: &'static str) -> Key<'m> {
    (spanned.given, &spanned.place, help)
}

/// Finds out who uses which pool, and reports keys of the other layer.
pub(super) fn pools(
    listeners: &Spanned<Vec<Spanned<model::Listener>>>,
    pools: &Spanned<Named<model::Pool>>,
    around: &Surroundings<'_>,
) -> Layer4Pools {
    let (mut layer4, mut http, mut datagrams) = (HashMap::new(), HashSet::new(), HashSet::new());
    for listener in listeners.get().into_iter().flatten().filter_map(Spanned::get) {
        match listener.protocol.get() {
            Some(Word(Protocol::Http)) => http.extend(routed(listener)),
            Some(Word(Protocol::Tcp)) => {
                let names = pools_named(listener).into_iter().flatten();
                layer4.extend(names.map(|name| (name.0.clone(), Transport::Tcp)));
            }
            Some(Word(Protocol::Udp)) => {
                for name in pools_named(listener).into_iter().flatten() {
                    datagrams.insert(name.0.clone());
                    layer4.entry(name.0.clone()).or_insert(Transport::Udp);
                }
            }
            None => {}
        }
    }
    for (name, pool) in pools.get().into_iter().flat_map(|Named(pools)| pools) {
        let (Some(Name(text)), Some(pool)) = (name.get(), pool.get()) else { continue };
        let transport = layer4.get(text);
        if transport == Some(&Transport::Udp) {
            refuse(udp::pool_keys(pool), "means nothing in a pool of UDP", around);
        } else if transport.is_some() && !datagrams.contains(text) {
            refuse([key(&pool.quic, NEEDS_UDP)], "means nothing in a pool of TCP", around);
        }
        match (transport.is_some(), http.contains(text)) {
            (true, true) => {
                let message = format!("pool `{text}` serves both `http` and layer 4");
                let help = "sessions are kept by other means there: write two pools with the same backends";
                around.error(Code::Conflict, &name.place, message, help);
            }
            (true, false) => refuse(http_keys(pool), "means nothing in a pool of layer 4", around),
            (false, true) => refuse(layer4_keys(pool), "means nothing in a pool of HTTP", around),
            (false, false) => {}
        }
    }
    Layer4Pools { pools: layer4, datagrams }
}

/// Whoever is to come from clients' addresses must keep the privilege to do so.
pub(super) fn source_suits_user(
    pools: &Spanned<Named<model::Pool>>,
    server: &Spanned<model::Server>,
    around: &Surroundings<'_>,
) {
    let user = server.get().and_then(|server| server.user.get()?.as_ref());
    if user.is_none() {
        return;
    }
    for (_, pool) in pools.get().into_iter().flat_map(|Named(pools)| pools) {
        let Some(source) = pool.get().map(|pool| &pool.source) else { continue };
        if let Some(Word(ConnectsFrom::Client)) = source.get() {
            let message = "`source: client` takes a privilege that `server.user` gives up";
            let help = "remove `server.user`, and let the service manager start Steadfast as that user, with CAP_NET_ADMIN";
            around.error(Code::Conflict, &source.place, message, help);
        }
    }
}

fn routed(listener: &model::Listener) -> impl Iterator<Item = String> {
    let routes = listener.routes.get().into_iter().flatten();
    routes.filter_map(|route| pools_of(route.get()?)).flatten().map(|name| name.0.clone())
}

pub(super) fn refuse<'m>(keys: impl IntoIterator<Item = Key<'m>>, what: &str, around: &Surroundings<'_>) {
    for (given, place, help) in keys {
        if given {
            around.error(Code::Conflict, place, format!("`{}` {what}", place.name()), help);
        }
    }
}

fn http_keys(pool: &model::Pool) -> Vec<Key<'_>> {
    const ADDRESS: &str = "remove it: clients are told apart by `source_address`";
    const IDLE: &str = "remove it, and use `tcp.idle` of the listener";
    const BYTES: &str = "remove it: what clients send goes on as it is";
    let mut keys = vec![key(&pool.tls, BYTES), key(&pool.http, BYTES)];
    if let Some(affinity) = pool.affinity.get() {
        keys.extend([
            key(&affinity.application_cookie, ADDRESS),
            key(&affinity.path_parameter, ADDRESS),
            key(&affinity.header, ADDRESS),
            key(&affinity.query, ADDRESS),
            key(&affinity.route_suffix, ADDRESS),
            key(&affinity.first_contact, ADDRESS),
            key(&affinity.load_balancer_cookie, ADDRESS),
            key(&affinity.release, ADDRESS),
        ]);
        let learn = affinity.learn.get();
        keys.extend(learn.map(|learn| key(&learn.idle, "remove it, and use `source_address: { idle: … }`")));
    }
    if let Some(timeouts) = pool.timeouts.get() {
        keys.extend([
            key(&timeouts.read, IDLE),
            key(&timeouts.write, IDLE),
            key(&timeouts.tunnel, IDLE),
            key(&timeouts.idle, IDLE),
        ]);
    }
    keys.push(key(&pool.waiting_room, "remove it: there is nothing to show at layer 4"));
    let retries = pool.retries.get();
    keys.extend(retries.map(|retries| key(&retries.on, "remove it: only a connect can be tried again")));
    let balance = pool.balance.get();
    keys.extend(balance.map(|balance| {
        key(&balance.load_factor, "remove it: a new client goes by the hash alone, so that replicas agree")
    }));
    keys
}

fn layer4_keys(pool: &model::Pool) -> Vec<Key<'_>> {
    let help = "remove it: `first_contact: client` places new clients by their address, and their sessions are kept by cookies";
    let mut keys = vec![key(
        &pool.source,
        "remove it: `X-Forwarded-For` and `proxy_protocol` tell backends of the client",
    )];
    keys.push(key(&pool.quic, NEEDS_UDP));
    if let Some(affinity) = pool.affinity.get() {
        keys.extend([key(&affinity.source_address, help), key(&affinity.client_name, help)]);
    }
    keys
}

/// Checks what a listener of layer 4 says; `Some(None)`: it speaks HTTP.
#[expect(clippy::option_option, reason = "two different absences")]
pub(super) fn listener(
    listener: &model::Listener,
    pools: &Spanned<Named<model::Pool>>,
    around: &Surroundings<'_>,
) -> Option<Option<Layer4>> {
    let Word(protocol) = listener.protocol.get()?;
    socket(listener, *protocol, around);
    match protocol {
        Protocol::Http => {
            const NEEDS_TCP: &str = "remove it, or write `protocol: tcp`";
            let keys = [
                key(&listener.pool, "write `routes: [{ pool: NAME }]`"),
                key(&listener.tcp, NEEDS_TCP),
                key(&listener.udp, udp::NEEDS_UDP),
            ];
            refuse(keys, "means nothing with `protocol: http`", around);
            Some(None)
        }
        Protocol::Tcp => {
            let mut keys = http_listener_keys(listener);
            keys.push(key(&listener.udp, udp::NEEDS_UDP));
            refuse(keys, "means nothing with `protocol: tcp`", around);
            tcp(listener, pools, around).map(Some)
        }
        Protocol::Udp => {
            let mut keys = http_listener_keys(listener);
            keys.extend(udp::listener_keys(listener));
            refuse(keys, "means nothing with `protocol: udp`", around);
            udp::udp(listener, pools, around).map(Some)
        }
    }
}

/// Sockets in the file system are for TCP alone, and what is said of their files for them.
fn socket(listener: &model::Listener, protocol: Protocol, around: &Surroundings<'_>) {
    let Some(ListenAt(address)) = listener.address.get() else { return };
    match address {
        ListenAddress::Ip(_) => {
            let help = "remove it, or write `address: unix:PATH`";
            refuse([key(&listener.socket_mode, help)], "means nothing at an IP address", around);
        }
        ListenAddress::Unix(_) if protocol != Protocol::Tcp => {
            let message =
                format!("`{address}`: only listeners with `protocol: tcp` can listen on a Unix socket");
            let help = "write IP address and port, such as 127.0.0.1:8080, or `protocol: tcp`";
            around.error(Code::NotSupported, &listener.address.place, message, help);
        }
        ListenAddress::Unix(_) => {}
    }
}

fn http_listener_keys(listener: &model::Listener) -> Vec<Key<'_>> {
    const BYTES: &str = "remove it: what the bytes mean is not looked at";
    let mut keys = vec![
        key(&listener.routes, "write `pool: NAME`"),
        key(&listener.trusted_proxies, "remove it: there are no `X-Forwarded-*` fields at layer 4"),
        key(&listener.tls, "remove it: TLS is not ended at layer 4, and passes through"),
        key(&listener.access_log, "remove it: a line is made of a request"),
        key(&listener.http2, BYTES),
        key(&listener.buffer, BYTES),
        key(&listener.headers, BYTES),
        key(&listener.error_pages, BYTES),
        key(&listener.compression, BYTES),
    ];
    if let Some(timeouts) = listener.timeouts.get() {
        const IDLE: &str = "remove it, and use `tcp: { idle: … }`, or `udp: { idle: … }`";
        keys.extend([
            key(&timeouts.head, BYTES),
            key(&timeouts.body, BYTES),
            key(&timeouts.idle, IDLE),
            key(&timeouts.write, IDLE),
        ]);
    }
    if let Some(limits) = listener.limits.get() {
        keys.extend([
            key(&limits.head_bytes, BYTES),
            key(&limits.header_fields, BYTES),
            key(&limits.uri_bytes, BYTES),
            key(&limits.body_bytes, BYTES),
            key(&limits.handshakes, BYTES),
            key(&limits.requests, BYTES),
            key(&limits.slowest_body, BYTES),
            key(&limits.slowest_reader, BYTES),
        ]);
    }
    keys
}

fn tcp(
    listener: &model::Listener,
    pools: &Spanned<Named<model::Pool>>,
    around: &Surroundings<'_>,
) -> Option<Layer4> {
    let routes = listener.tls_routes.get()?;
    let name = listener.pool.get()?.as_ref();
    if name.is_none() && routes.is_empty() {
        let message = "a listener of layer 4 needs a `pool`";
        around.error(Code::MissingKey, &listener.pool.place, message, "add `pool: NAME` here");
        return None;
    }
    let pool = name.map(|name| pool(name, &listener.pool.place, pools, around));
    let routes: Vec<_> = routes.iter().map(|route| tls_route(route, pools, around)).collect();
    let tcp = listener.tcp.get()?;
    Some(Layer4::Tcp(Tcp {
        routes: routes.into_iter().collect::<Option<_>>()?,
        pool: match pool {
            Some(pool) => Some(pool?),
            None => None,
        },
        first_bytes: tcp.first_bytes.get()?.0,
        idle: tcp.idle.get()?.0,
        keepalive: tcp.keepalive.get()?.map(|time| time.0),
        user_timeout: tcp.user_timeout.get()?.map(|time| time.0),
    }))
}

fn tls_route(
    spanned: &Spanned<model::TlsRoute>,
    pools: &Spanned<Named<model::Pool>>,
    around: &Surroundings<'_>,
) -> Option<TlsRoute> {
    let route = spanned.get()?;
    let pool = route.pool.get().and_then(|name| pool(name, &route.pool.place, pools, around));
    let (names, alpn) = (route.server_name.get()?.as_ref(), route.alpn.get()?.as_ref());
    let (names, alpn) = (names.map_or(&[][..], |names| &names.0), alpn.map_or(&[][..], |alpn| &alpn.0));
    if names.is_empty() && alpn.is_empty() {
        let help = "write `server_name` or `alpn`; where the rest goes, says the listener's own `pool`";
        around.error(Code::MissingKey, &spanned.place, "this route names neither server nor protocol", help);
        return None;
    }
    let name = |name: &Spanned<HostPattern>| name.get().map(|HostPattern(name)| name.clone());
    Some(TlsRoute {
        server_names: names.iter().map(name).collect::<Option<_>>()?,
        alpn: alpn.iter().map(|alpn| alpn.get().map(|Text(alpn)| alpn.clone())).collect::<Option<_>>()?,
        pool: pool?,
    })
}

/// The pools that a listener of layer 4 names.
pub(super) fn pools_named(listener: &model::Listener) -> Option<Vec<&Name>> {
    let routes = listener.tls_routes.get()?.iter().map(|route| route.get()?.pool.get());
    routes.chain(listener.pool.get()?.as_ref().map(Some)).collect()
}

/// How clients are told apart, and for how long they are known.
pub(super) fn clients(affinity: &model::Affinity) -> Option<(Clients, std::time::Duration)> {
    let source = affinity.source_address.get()?;
    let bits = |bits: u64| u8::try_from(bits).unwrap_or(u8::MAX);
    let clients = Clients {
        name: affinity.client_name.get()?.map(|Word(name)| name),
        ipv4_prefix: bits(source.ipv4_prefix.get()?.0),
        ipv6_prefix: bits(source.ipv6_prefix.get()?.0),
    };
    Some((clients, source.idle.get()?.0))
}
