//! Listeners: names and addresses that do not collide, routes that lead somewhere and can match.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Surroundings, all, count, layer4, routes, size};
use crate::config::checked::{AccessLog, ClientPrefix, Listener, ListenerLimits, ListenerTimeouts};
use crate::config::collections::Named;
use crate::config::model;
use crate::config::network::{ListenAt, Network};
use crate::config::read::Spanned;
use crate::config::report::{Code, Place};
use crate::config::units::Bytes;
use crate::config::words::{Protocol, Word};
use crate::names::{ListenAddress, ListenerName};

/// Checks all listeners, and that each pool is used by one of them.
pub(super) fn listeners(
    listeners: Spanned<Vec<Spanned<model::Listener>>>,
    pools: &Spanned<Named<model::Pool>>,
    access_log: Option<&AccessLog>,
    around: &Surroundings<'_>,
) -> Option<Vec<Listener>> {
    let place = listeners.place;
    let listeners = listeners.value?;
    if listeners.is_empty() {
        let help = "add one: `- { name: web, address: 0.0.0.0:8080, routes: [{ pool: NAME }] }`";
        around.error(Code::MissingKey, &place, "`listeners` is empty: nothing would be accepted", help);
        return None;
    }
    let read = || listeners.iter().filter_map(Spanned::get);
    around.unique("listener name", read().filter_map(|l| Some((l.name.get()?.0.as_str(), &l.name.place))));
    for udp in [false, true] {
        let speaks =
            |listener: &&model::Listener| udp == matches!(listener.protocol.get(), Some(Word(Protocol::Udp)));
        addresses(read().filter(speaks).map(|listener| &listener.address), around);
    }
    unused_pools(&listeners, pools, around);
    all(listeners.into_iter().map(|listener| self::listener(listener, pools, access_log, around)))
}

/// Two listeners cannot have one address, nor one of them all addresses of the other's port.
fn addresses<'m>(addresses: impl Iterator<Item = &'m Spanned<ListenAt>>, around: &Surroundings<'_>) {
    let mut taken: Vec<(&ListenAddress, &Place)> = Vec::new();
    for spanned in addresses {
        let Some(ListenAt(address)) = spanned.get() else { continue };
        let first = taken.iter().find(|(first, _)| collide(first, address));
        if let Some((first, place)) = first {
            let message = format!("`{address}` is taken by the listener on `{first}`");
            let other = if address.ip().is_some() { "port" } else { "path" };
            let help = format!("give one of them another {other}; the first is on line {}", place.line);
            around.error(Code::Duplicate, &spanned.place, message, help);
        }
        taken.push((address, &spanned.place));
    }
}

/// Whether two sockets cannot listen beside each other.
pub(super) fn collide(one: &ListenAddress, two: &ListenAddress) -> bool {
    let (Some(one), Some(two)) = (one.ip(), two.ip()) else { return one == two };
    // Port 0 is a fresh port each time. `[::]` takes IPv4 too, as Linux has it by default.
    let covers = |ip: IpAddr, other: IpAddr| ip.is_unspecified() && (ip.is_ipv6() || other.is_ipv4());
    let (first, second) = (one.ip(), two.ip());
    two.port() != 0
        && one.port() == two.port()
        && (first == second || covers(first, second) || covers(second, first))
}

fn unused_pools(
    listeners: &[Spanned<model::Listener>],
    pools: &Spanned<Named<model::Pool>>,
    around: &Surroundings<'_>,
) {
    // A route that is missing, broken or mistyped may mean any of them: silence rather than a false warning.
    let Some(Named(pools)) = pools.get() else { return };
    let mut used = Vec::new();
    for listener in listeners {
        let Some(listener) = listener.get() else { return };
        let Some(routes) = listener.routes.get() else { return };
        let Some(mut names) = routes::pools_named(routes) else { return };
        let Some(others) = layer4::pools_named(listener) else { return };
        names.extend(others);
        if names.is_empty()
            || names.iter().any(|name| !pools.iter().any(|(pool, _)| pool.get() == Some(name)))
        {
            return;
        }
        used.extend(names);
    }
    for (name, _) in pools {
        let Some(pool) = name.get() else { continue };
        if !used.contains(&pool) {
            let message = format!("no route leads to pool `{}`", pool.0);
            around.warn(Code::Unused, &name.place, message, "add a route to it, or remove it");
        }
    }
}

fn listener(
    listener: Spanned<model::Listener>,
    pools: &Spanned<Named<model::Pool>>,
    log_of_all: Option<&AccessLog>,
    around: &Surroundings<'_>,
) -> Option<Listener> {
    let listener = listener.value?;
    let layer4 = layer4::listener(&listener, pools, around);
    let model::Listener {
        name,
        protocol,
        address,
        socket_mode,
        tls,
        http2,
        proxy_protocol,
        trusted_proxies,
        limits,
        buffer,
        timeouts,
        access_log,
        headers,
        error_pages,
        compression,
        routes,
        ..
    } = listener;
    let routes = match protocol.value {
        Some(Word(Protocol::Tcp | Protocol::Udp)) => Some(Vec::new()),
        // Where it is a slip, what the routes say is still looked at.
        None if !routes.given => None,
        Some(Word(Protocol::Http)) | None => routes::routes(routes, pools, around),
    };
    let buffer = super::buffer::buffer(buffer, around);
    let tls = super::tls::tls(tls, around);
    let http2 = super::tls::http2(http2, around);
    let proxy_protocol = self::proxy_protocol(proxy_protocol, around);
    let access_log = match access_log.get() {
        // A line is made of a request.
        Some(None) if matches!(protocol.value, Some(Word(Protocol::Tcp | Protocol::Udp))) => Some(None),
        Some(None) => Some(log_of_all.cloned()),
        Some(Some(_)) | None => super::log::access_log(access_log, around),
    };
    let headers = super::headers::headers(headers, around);
    let error_pages = super::headers::error_pages(error_pages, around);
    let compression = super::compression::compression(compression, around);
    Some(Listener {
        name: ListenerName::new(&name.value?.0),
        address: address.value?.0,
        socket_mode: socket_mode.value?.0,
        tls: tls?,
        http2: http2?,
        proxy_protocol: proxy_protocol?,
        trusted_proxies: networks(trusted_proxies)?,
        limits: self::limits(limits, around)?,
        buffer: buffer?,
        timeouts: self::timeouts(timeouts)?,
        access_log: access_log?,
        headers: headers?,
        error_pages: error_pages?,
        compression: compression?,
        routes: routes?,
        layer4: layer4?,
    })
}

fn networks(networks: Spanned<Vec<Spanned<Network>>>) -> Option<Vec<IpNet>> {
    networks.value?.into_iter().map(|network| network.value.map(|Network(network)| network)).collect()
}

fn proxy_protocol(
    spoken: Spanned<Option<model::ProxyProtocol>>,
    around: &Surroundings<'_>,
) -> Option<Vec<IpNet>> {
    let Some(spoken) = spoken.value? else { return Some(Vec::new()) };
    let place = spoken.trusted.place.clone();
    let trusted = networks(spoken.trusted)?;
    if trusted.is_empty() {
        let help = "name the proxies' networks, such as [10.0.0.0/8], or remove `proxy_protocol`";
        around.error(Code::MissingKey, &place, "`trusted` is empty: nobody would be believed", help);
        return None;
    }
    Some(trusted)
}

fn limits(limits: Spanned<model::Limits>, around: &Surroundings<'_>) -> Option<ListenerLimits> {
    let bytes = |Bytes(bytes): Bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
    let limits = limits.value?;
    let requests = super::limits::requests(limits.requests, around);
    let bits = |bits| u8::try_from(bits).unwrap_or(u8::MAX);
    Some(ListenerLimits {
        head_bytes: bytes(limits.head_bytes.value?),
        header_fields: size(limits.header_fields.value?),
        uri_bytes: bytes(limits.uri_bytes.value?),
        body_bytes: limits.body_bytes.value?.map(|Bytes(bytes)| bytes),
        connections: size(limits.connections.value?),
        connections_per_client: limits.connections_per_client.value?.map(count),
        slowest_body: limits.slowest_body.value?.map(|Bytes(bytes)| bytes),
        slowest_reader: limits.slowest_reader.value?.map(|Bytes(bytes)| bytes),
        client: ClientPrefix {
            ipv4: bits(count(limits.ipv4_prefix.value?)),
            ipv6: bits(count(limits.ipv6_prefix.value?)),
        },
        requests: requests?,
        handshakes: size(limits.handshakes.value?),
    })
}

fn timeouts(timeouts: Spanned<model::Timeouts>) -> Option<ListenerTimeouts> {
    let timeouts = timeouts.value?;
    Some(ListenerTimeouts {
        handshake: timeouts.handshake.value?.0,
        head: timeouts.head.value?.0,
        body: timeouts.body.value?.0,
        idle: timeouts.idle.value?.0,
        write: timeouts.write.value?.0,
    })
}
