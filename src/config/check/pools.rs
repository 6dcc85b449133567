//! Pools: backends that exist, differ and can take a session; balance, timeouts, retries.

use std::collections::HashMap;

use super::layer4::Layer4Pools;
use super::{Surroundings, affinity, all, count, discovery, health, pool_tls, quic, size, waiting_room};
use crate::config::checked::{
    Backend, BackendState, Balance, Drain, Pool, PoolLimits, PoolTimeouts, Retries,
};
use crate::config::collections::{Named, OneOrMany};
use crate::config::model;
use crate::config::network::BackendAt;
use crate::config::read::Spanned;
use crate::config::report::Code;
use crate::config::text::Name;
use crate::config::words::{RetryOn, Word};
use crate::names::{BackendAddress, BackendId, PoolName};
use crate::tls::Authorities;

/// More backends than `BackendIndex` can count.
const MAX_BACKENDS: usize = 65_535;

/// Checks all pools.
pub(super) fn pools(
    pools: Spanned<Named<model::Pool>>,
    system: Option<&Authorities>,
    layer4: &Layer4Pools,
    around: &Surroundings<'_>,
) -> Option<Vec<Pool>> {
    let Named(entries) = pools.value?;
    if entries.is_empty() {
        around.error(
            Code::MissingKey,
            &pools.place,
            "`pools` is empty: there is nothing to balance",
            "add a pool",
        );
        return None;
    }
    affinity::cookie_names_differ(&entries, around);
    all(entries.into_iter().map(|(name, pool)| self::pool(name, pool.value?, system, layer4, around)))
}

fn pool(
    name: Spanned<Name>,
    pool: model::Pool,
    system: Option<&Authorities>,
    layer4: &Layer4Pools,
    around: &Surroundings<'_>,
) -> Option<Pool> {
    let model::Pool {
        backends,
        discovery,
        balance,
        affinity,
        health,
        tls,
        http,
        timeouts,
        retries,
        limits,
        waiting_room,
        proxy_protocol,
        source,
        quic,
        removal,
        drain,
    } = pool;
    affinity::backends_suit_route_suffix(&affinity, &backends, around);
    affinity::discovery_suits_route_suffix(&affinity, &discovery, around);
    let discovered = discovery.value.as_ref().is_none_or(Option::is_some);
    let connection_ids = quic::connection_ids(quic, &backends, discovered, around);
    sockets_suit(&backends, layer4.is_of_tcp(&name), around);
    let backends = self::backends(backends, discovered, around);
    let discovery = discovery::discovery(discovery, around);
    let transport = layer4.transport(&name);
    let affinity = affinity::affinity(affinity, layer4.has(&name), around);
    let health = health::health(health, around);
    let encrypted = !matches!(tls.get(), Some(None));
    let http = pool_tls::http(http, encrypted, around);
    let tls = pool_tls::tls(tls, system, around);
    let mode = affinity.as_ref().map(|affinity| affinity.mode);
    let waiting_room = waiting_room::waiting_room(waiting_room, mode, around);
    Some(Pool {
        name: PoolName::new(&name.value?.0),
        backends: backends?,
        discovery: discovery?,
        balance: self::balance(balance)?,
        affinity: affinity?,
        health: health?,
        tls: tls?,
        transport,
        http: http?,
        proxy_protocol: proxy_protocol.value?.map(|Word(version)| version),
        source: source.value?.0,
        connection_ids: connection_ids?,
        timeouts: self::timeouts(timeouts)?,
        retries: self::retries(retries)?,
        limits: self::limits(limits)?,
        waiting_room: waiting_room?,
        removal: removal.value?.0,
        drain: Drain { deadline: drain.value?.deadline.value?.0 },
    })
}

/// With discovery a pool may begin without backends, or with ones that take no new session.
fn backends(
    backends: Spanned<Vec<Spanned<model::Backend>>>,
    discovered: bool,
    around: &Surroundings<'_>,
) -> Option<Vec<Backend>> {
    let (place, given) = (backends.place, backends.given);
    let backends = backends.value?;
    if backends.is_empty() && !discovered {
        if !given {
            let (message, help) = ("a pool needs `backends` or `discovery`", "add `backends: …` here");
            around.error(Code::MissingKey, &place, message, help);
            return None;
        }
        let help = "add one: `- { id: app1, address: 10.0.0.11:8080 }`";
        around.error(Code::MissingKey, &place, "`backends` is empty", help);
        return None;
    }
    if backends.len() > MAX_BACKENDS {
        let message = format!("`backends` has more than {MAX_BACKENDS} entries");
        around.error(Code::OutOfRange, &place, message, "split the pool");
        return None;
    }
    let read = || backends.iter().filter_map(Spanned::get);
    around.unique("backend id", read().filter_map(|b| Some((b.id.get()?.0.as_str(), &b.id.place))));
    addresses(read(), around);
    let complete = backends.iter().all(|backend| backend.value.is_some());
    let (weightless, idle) = (
        read().all(|backend| backend.weight.get().is_some_and(|weight| weight.0 == 0)),
        read().all(|backend| backend.state.get().is_some_and(|Word(state)| *state != BackendState::Up)),
    );
    // With discovery, who takes new sessions is known later.
    let complete = complete && !discovered;
    if complete && weightless {
        let help = "give at least one backend a weight above 0";
        around.error(Code::Conflict, &place, "every backend has weight 0: no session could start", help);
    } else if complete && idle {
        let help = "leave at least one backend `up`, unless the pool is to run empty";
        around.warn(Code::Trap, &place, "no backend is `up`: no session can start", help);
    }
    let backend = |backend: Spanned<model::Backend>| {
        let backend = backend.value?;
        Some(Backend {
            id: BackendId::new(&backend.id.value?.0),
            address: backend.address.value?.0,
            weight: u16::try_from(backend.weight.value?.0).unwrap_or(u16::MAX),
            state: backend.state.value?.0,
            drain_deadline: None,
        })
    };
    backends.into_iter().map(backend).collect()
}

/// Only a connection of layer 4 can go to a socket in the file system.
fn sockets_suit(backends: &Spanned<Vec<Spanned<model::Backend>>>, of_tcp: bool, around: &Surroundings<'_>) {
    for backend in backends.get().into_iter().flatten().filter_map(Spanned::get).filter(|_| !of_tcp) {
        if let Some(BackendAt(BackendAddress::Unix(_))) = backend.address.get() {
            let message = "a Unix socket can be a backend in pools of TCP only";
            let help = "write the IP address and port that the backend listens on";
            around.error(Code::NotSupported, &backend.address.place, message, help);
        }
    }
}

/// One address under two ids is legal, but each session would be on both; port 0 cannot be connected to.
fn addresses<'m>(backends: impl Iterator<Item = &'m model::Backend>, around: &Surroundings<'_>) {
    let mut first = HashMap::new();
    for backend in backends {
        let (Some(BackendAt(address)), place) = (backend.address.get(), &backend.address.place) else {
            continue;
        };
        if address.ip().is_some_and(|address| address.port() == 0) {
            let message = format!("`{address}` has port 0, which nothing can connect to");
            around.error(Code::BadValue, place, message, "write the port that the backend listens on");
            continue;
        }
        match first.get(address) {
            None => _ = first.insert(address, place.line),
            Some(line) => {
                let message = format!("two backends have the address `{address}`");
                let help = format!("one server is one backend; the first is on line {line}");
                around.warn(Code::Duplicate, place, message, help);
            }
        }
    }
}

fn balance(balance: Spanned<model::Balance>) -> Option<Balance> {
    let balance = balance.value?;
    Some(Balance { algorithm: balance.algorithm.value?.0, load_factor: balance.load_factor.value?.0 })
}

fn timeouts(timeouts: Spanned<model::PoolTimeouts>) -> Option<PoolTimeouts> {
    let timeouts = timeouts.value?;
    Some(PoolTimeouts {
        connect: timeouts.connect.value?.0,
        read: timeouts.read.value?.0,
        write: timeouts.write.value?.0,
        tunnel: timeouts.tunnel.value?.0,
        idle: timeouts.idle.value?.0,
    })
}

fn retries(retries: Spanned<model::Retries>) -> Option<Retries> {
    let retries = retries.value?;
    let OneOrMany(on) = retries.on.value?;
    let on: Vec<RetryOn> = on.into_iter().map(|on| on.value.map(|Word(on)| on)).collect::<Option<_>>()?;
    Some(Retries {
        attempts: count(retries.attempts.value?),
        on_connect: on.contains(&RetryOn::Connect),
        on_reset: on.contains(&RetryOn::ResetBeforeResponse),
    })
}

/// The outer `None` is an error; the inner one is no bound.
#[expect(clippy::option_option, reason = "two different absences")]
fn limits(limits: Spanned<model::PoolLimits>) -> Option<Option<PoolLimits>> {
    let limits = limits.value?;
    let connections = limits.connections_per_backend.value?;
    let queue = limits.queue.value?;
    let (length, wait) = (queue.length.value?, queue.wait.value?.0);
    let existing_sessions_first = queue.existing_sessions_first.value?.0;
    Some(connections.map(|connections| PoolLimits {
        connections_per_backend: count(connections),
        queue_length: size(length),
        queue_wait: wait,
        existing_sessions_first,
    }))
}
