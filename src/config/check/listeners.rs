//! Listeners: names and addresses that do not collide, routes that lead somewhere and can match.

use std::net::{IpAddr, SocketAddr};

use super::{Surroundings, all, count, size};
use crate::config::checked::{ClientPrefix, Listener, ListenerLimits, ListenerTimeouts, Route};
use crate::config::collections::Named;
use crate::config::model;
use crate::config::network::{Address, Network};
use crate::config::read::Spanned;
use crate::config::report::{Code, Place, nearest};
use crate::config::units::Bytes;
use crate::config::words::{Protocol, Word};
use crate::names::ListenerName;

/// Checks all listeners, and that each pool is used by one of them.
pub(super) fn listeners(
    listeners: Spanned<Vec<Spanned<model::Listener>>>,
    pools: &Spanned<Named<model::Pool>>,
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
    addresses(read().map(|listener| &listener.address), around);
    unused_pools(&listeners, pools, around);
    all(listeners.into_iter().map(|listener| self::listener(listener, pools, around)))
}

/// Two listeners cannot have one address, nor one of them all addresses of the other's port.
fn addresses<'m>(addresses: impl Iterator<Item = &'m Spanned<Address>>, around: &Surroundings<'_>) {
    let mut taken: Vec<(SocketAddr, &Place)> = Vec::new();
    for spanned in addresses {
        let Some(Address(address)) = spanned.get() else { continue };
        let first = taken.iter().find(|(first, _)| collide(*first, *address));
        if let Some((first, place)) = first {
            let message = format!("`{address}` is taken by the listener on `{first}`");
            let help = format!("give one of them another port; the first is on line {}", place.line);
            around.error(Code::Duplicate, &spanned.place, message, help);
        }
        taken.push((*address, &spanned.place));
    }
}

/// Whether two sockets cannot listen beside each other.
pub(super) fn collide(one: SocketAddr, two: SocketAddr) -> bool {
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
        let Some(routes) = listener.get().and_then(|listener| listener.routes.get()) else { return };
        let names = routes.iter().map(|route| route.get()?.pool.get());
        let Some(names) = names.collect::<Option<Vec<_>>>() else { return };
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
    around: &Surroundings<'_>,
) -> Option<Listener> {
    let model::Listener { name, protocol, address, trusted_proxies, limits, timeouts, routes } =
        listener.value?;
    let routes = self::routes(routes, pools, around);
    let Word(Protocol::Http) = protocol.value?;
    let networks =
        trusted_proxies.value?.into_iter().map(|proxy| proxy.value.map(|Network(network)| network));
    Some(Listener {
        name: ListenerName::new(&name.value?.0),
        address: address.value?.0,
        trusted_proxies: networks.collect::<Option<_>>()?,
        limits: self::limits(limits, around)?,
        timeouts: self::timeouts(timeouts)?,
        routes: routes?,
    })
}

fn routes(
    routes: Spanned<Vec<Spanned<model::Route>>>,
    pools: &Spanned<Named<model::Pool>>,
    around: &Surroundings<'_>,
) -> Option<Vec<Route>> {
    let place = routes.place;
    let routes = routes.value?;
    let Some(first) = routes.first() else {
        around.error(
            Code::MissingKey,
            &place,
            "`routes` is empty: no request would be served",
            "add `{ pool: NAME }`",
        );
        return None;
    };
    let first = first.place.line;
    for route in routes.iter().skip(1) {
        let message = format!("this route can never match: the route on line {first} takes every request");
        around.error(Code::Unused, &route.place, message, "keep one of them");
    }
    all(routes.into_iter().map(|route| Some(Route { pool: pool(&route.value?, pools, around)? })))
}

/// The index of the pool that a route names.
fn pool(
    route: &model::Route,
    pools: &Spanned<Named<model::Pool>>,
    around: &Surroundings<'_>,
) -> Option<usize> {
    let name = route.pool.get()?;
    let Named(pools) = pools.get()?;
    let found = pools.iter().position(|(pool, _)| pool.get() == Some(name));
    // That there is no pool at all is said once, where the pools should be.
    if found.is_none() && !pools.is_empty() {
        let names = pools.iter().filter_map(|(pool, _)| Some(pool.get()?.0.as_str()));
        let help = match nearest(&name.0, names.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("defined under `pools`: {}", names.collect::<Vec<_>>().join(", ")),
        };
        around.error(Code::Unresolved, &route.pool.place, format!("no pool is named `{}`", name.0), help);
    }
    found
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
        client: ClientPrefix {
            ipv4: bits(count(limits.ipv4_prefix.value?)),
            ipv6: bits(count(limits.ipv6_prefix.value?)),
        },
        requests: requests?,
    })
}

fn timeouts(timeouts: Spanned<model::Timeouts>) -> Option<ListenerTimeouts> {
    let timeouts = timeouts.value?;
    Some(ListenerTimeouts {
        head: timeouts.head.value?.0,
        body: timeouts.body.value?.0,
        idle: timeouts.idle.value?.0,
        write: timeouts.write.value?.0,
    })
}
