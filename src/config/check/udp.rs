//! UDP listeners, and the keys of layer 4 that only connections can mean.

use super::layer4::{Key, key};
use super::routes::pool;
use super::{Surroundings, count, size};
use crate::config::checked::{DatagramRate, Layer4, Udp};
use crate::config::collections::Named;
use crate::config::model;
use crate::config::read::Spanned;
use crate::config::report::Code;

/// What to do with `udp` on another listener.
pub(super) const NEEDS_UDP: &str = "remove it, or write `protocol: udp`";

const CONNECTIONS: &str = "remove it: datagrams have no connection that it could be of";

/// Keys of a listener that mean nothing here, though they do with TCP.
pub(super) fn listener_keys(listener: &model::Listener) -> Vec<Key<'_>> {
    let mut keys = vec![
        key(&listener.tcp, "remove it, and use `udp`"),
        key(&listener.tls_routes, CONNECTIONS),
        key(&listener.proxy_protocol, CONNECTIONS),
    ];
    let timeouts = listener.timeouts.get();
    keys.extend(timeouts.map(|timeouts| key(&timeouts.handshake, CONNECTIONS)));
    keys
}

/// The same of a pool.
pub(super) fn pool_keys(pool: &model::Pool) -> Vec<Key<'_>> {
    let mut keys = vec![key(&pool.proxy_protocol, CONNECTIONS), key(&pool.source, CONNECTIONS)];
    let affinity = pool.affinity.get();
    keys.extend(
        affinity.map(|affinity| {
            key(&affinity.client_name, "remove it: clients are told apart by `source_address`")
        }),
    );
    keys.extend(pool.timeouts.get().map(|timeouts| key(&timeouts.connect, CONNECTIONS)));
    keys
}

/// Checks what a UDP listener says.
pub(super) fn udp(
    listener: &model::Listener,
    pools: &Spanned<Named<model::Pool>>,
    around: &Surroundings<'_>,
) -> Option<Layer4> {
    let Some(name) = listener.pool.get()?.as_ref() else {
        let message = "a listener of layer 4 needs a `pool`";
        around.error(Code::MissingKey, &listener.pool.place, message, "add `pool: NAME` here");
        return None;
    };
    let pool = pool(name, &listener.pool.place, pools, around);
    let udp = listener.udp.get()?;
    let (idle, unproven) = (udp.idle.get()?.0, udp.unproven.get()?.0);
    if unproven > idle && udp.unproven.given {
        let help = "a client that has not proven itself is to be forgotten sooner, not later";
        around.error(Code::Conflict, &udp.unproven.place, "`unproven` is longer than `idle`", help);
        return None;
    }
    let rate = match udp.rate.get()? {
        Some(rate) => Some(self::rate(rate)?),
        None => None,
    };
    Some(Layer4::Udp(Udp { pool: pool?, idle, unproven: unproven.min(idle), rate }))
}

fn rate(rate: &model::DatagramRate) -> Option<DatagramRate> {
    let datagrams = count(*rate.datagrams.get()?);
    Some(DatagramRate {
        datagrams,
        per: rate.per.get()?.0,
        burst: rate.burst.get()?.map_or(datagrams, count),
        keys: size(*rate.keys.get()?),
    })
}
