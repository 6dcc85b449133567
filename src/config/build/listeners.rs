//! Listeners and their routes.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::addresses::collide;
use crate::config::checked::{Listener, ListenerLimits, ListenerTimeouts, Pool, Route};
use crate::config::kind::network;
use crate::config::report::{Report, advice};
use crate::config::values::Values;
use crate::names::ListenerName;

pub(super) fn listeners(root: &Values<'_>, pools: &[Pool], report: &mut Report<'_>) -> Vec<Listener> {
    let names: HashMap<&str, usize> =
        root.named("pools").iter().enumerate().map(|(index, (name, ..))| (*name, index)).collect();
    let mut used = vec![false; names.len()];
    let mut seen: Vec<(String, Option<SocketAddr>)> = Vec::new();
    let mut listeners = Vec::new();
    if root.has("listeners") && root.items("listeners").is_empty() {
        report.error(
            root.at("listeners"),
            "there are no listeners".to_owned(),
            Some("add one with `name`, `address` and `routes`".to_owned()),
        );
    }
    for listener in root.sections("listeners") {
        let name = listener.word("name");
        let address = listener.text("address").and_then(|address| address.parse::<SocketAddr>().ok());
        if listener.has("name") && seen.iter().any(|(known, _)| *known == name) {
            report.error(
                listener.at("name"),
                format!("two listeners are called `{name}`"),
                Some("give each its own name".to_owned()),
            );
        }
        if let Some(address) = address {
            let other = seen.iter().find(|(_, known)| known.is_some_and(|known| collide(known, address)));
            if let Some((other, _)) = other {
                let message = format!("`{other}` listens on that address already");
                report.error(
                    listener.at("address"),
                    message,
                    Some("choose another address or port".to_owned()),
                );
            }
        }
        let protocol = listener.word("protocol");
        if protocol == "tcp" || protocol == "udp" {
            let help = "this release balances HTTP: write `http`, or remove the listener".to_owned();
            report.error(
                listener.at("protocol"),
                format!("protocol `{protocol}` is not supported yet"),
                Some(help),
            );
        }
        let routes = routes(&listener, &names, &mut used, report);
        if let Some(address) = address {
            listeners.push(build(&listener, &name, address, routes));
        }
        seen.push((name, address));
    }
    for ((name, at, _), used) in root.named("pools").iter().zip(used) {
        if !used && !pools.is_empty() {
            report.warning(*at, format!("no route leads to pool `{name}`"), None);
        }
    }
    listeners
}

fn routes(
    listener: &Values<'_>,
    pools: &HashMap<&str, usize>,
    used: &mut [bool],
    report: &mut Report<'_>,
) -> Vec<Route> {
    let mut routes = Vec::new();
    if listener.has("routes") && listener.items("routes").is_empty() {
        report.error(
            listener.at("routes"),
            "a listener without routes answers nobody".to_owned(),
            Some("add `- pool: NAME`".to_owned()),
        );
    }
    for (position, route) in listener.sections("routes").into_iter().enumerate() {
        let Some(pool) = route.text("pool") else { continue };
        if position > 0 && route.has("pool") {
            let help = "a route without `match` takes everything: remove this one".to_owned();
            report.error(route.at("pool"), "this route can never match".to_owned(), Some(help));
        }
        match pools.get(pool.as_str()) {
            Some(index) => {
                if let Some(used) = used.get_mut(*index) {
                    *used = true;
                }
                routes.push(Route { pool: *index });
            }
            None => {
                let mut known: Vec<_> = pools.keys().copied().collect();
                known.sort_unstable();
                report.error(
                    route.at("pool"),
                    format!("there is no pool `{pool}`"),
                    advice(&pool, known.iter().copied()),
                );
            }
        }
    }
    routes
}

fn build(listener: &Values<'_>, name: &str, address: SocketAddr, routes: Vec<Route>) -> Listener {
    let (limits, timeouts) = (listener.section("limits"), listener.section("timeouts"));
    let trusted = listener.texts("trusted_proxies");
    Listener {
        name: ListenerName::new(name),
        address,
        trusted_proxies: trusted.iter().filter_map(|(text, _)| network(text)).collect(),
        limits: ListenerLimits {
            head_bytes: limits.size("head_bytes"),
            header_fields: limits.number("header_fields"),
            uri_bytes: limits.size("uri_bytes"),
            body_bytes: limits.optional_size("body_bytes"),
            connections: limits.number("connections"),
        },
        timeouts: ListenerTimeouts {
            head: timeouts.duration("head"),
            body: timeouts.duration("body"),
            idle: timeouts.duration("idle"),
            write: timeouts.duration("write"),
        },
        routes,
    }
}
