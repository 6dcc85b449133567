//! Pools, their backends, and how these are watched.

use std::collections::HashMap;

use super::affinity;
use crate::config::checked::{
    Algorithm, Backend, BackendState, Balance, Check, Health, HttpCheck, Passive, Pool, PoolTimeouts, Retries,
};
use crate::config::node::At;
use crate::config::report::Report;
use crate::config::units;
use crate::config::values::Values;
use crate::names::{BackendId, PoolName};

pub(super) fn pools(root: &Values<'_>, report: &mut Report<'_>) -> Vec<Pool> {
    let mut cookies: HashMap<String, String> = HashMap::new();
    if root.has("pools") && root.named("pools").is_empty() {
        report.error(
            root.at("pools"),
            "there are no pools".to_owned(),
            Some("add one with its `backends`".to_owned()),
        );
    }
    let mut pools = Vec::new();
    for (name, at, values) in root.named("pools") {
        let pool = Pool {
            name: PoolName::new(name),
            backends: backends(name, at, &values, report),
            balance: balance(&values.section("balance")),
            affinity: affinity::affinity(&values.section("affinity"), report),
            health: health(&values.section("health"), report),
            timeouts: timeouts(&values.section("timeouts")),
            retries: retries(&values.section("retries")),
        };
        if let Some(cookie) = &pool.affinity.cookie.name {
            let at = values.section("affinity").section("load_balancer_cookie").at("name");
            if let Some(other) = cookies.insert(cookie.clone(), name.to_owned()) {
                let message = format!("pool `{other}` has a load-balancer cookie of that name already");
                report.error(
                    at,
                    message,
                    Some("give each pool's cookie its own name, or leave the names out".to_owned()),
                );
            }
        }
        if pool.affinity.route_suffix {
            for backend in pool.backends.iter().filter(|backend| backend.id.as_str().contains('.')) {
                let message = format!("with `route_suffix`, the id `{}` cannot have a dot", backend.id);
                report.error(
                    values.section("affinity").at("route_suffix"),
                    message,
                    Some("name backends as the servers' jvmRoute does".to_owned()),
                );
            }
        }
        pools.push(pool);
    }
    pools
}

fn backends(pool: &str, pool_at: At, values: &Values<'_>, report: &mut Report<'_>) -> Vec<Backend> {
    let sections = values.sections("backends");
    if values.has("backends") && sections.is_empty() {
        let help = "add `- { id: app1, address: 10.0.0.11:8080 }`".to_owned();
        report.error(values.at("backends"), format!("pool `{pool}` has no backends"), Some(help));
    }
    if sections.len() > usize::from(u16::MAX) {
        report.error(pool_at, "a pool has at most 65535 backends".to_owned(), None);
    }
    let mut ids = HashMap::new();
    let mut backends = Vec::new();
    for backend in &sections {
        let Some(id) = backend.text("id") else { continue };
        if id.is_empty() || id.len() > 128 {
            report.error(backend.at("id"), "a backend's id has 1 to 128 characters".to_owned(), None);
        }
        if ids.insert(id.clone(), ()).is_some() {
            let help = "ids name sessions' homes: give each backend its own".to_owned();
            report.error(
                backend.at("id"),
                format!("two backends of pool `{pool}` have the id `{id}`"),
                Some(help),
            );
        }
        let Some(address) = backend.text("address").and_then(|address| address.parse().ok()) else {
            continue;
        };
        let state = match backend.word("state").as_str() {
            "draining" => BackendState::Draining,
            "maintenance" => BackendState::Maintenance,
            _ => BackendState::Up,
        };
        backends.push(Backend { id: BackendId::new(&id), address, weight: backend.number("weight"), state });
    }
    if !backends.is_empty() && backends.iter().all(|backend| backend.weight == 0) {
        let help = "give at least one a `weight` above 0".to_owned();
        report.error(
            values.at("backends"),
            format!("no backend of pool `{pool}` takes new sessions: all weights are 0"),
            Some(help),
        );
    } else if !backends.is_empty() && backends.iter().all(|backend| backend.state != BackendState::Up) {
        report.warning(
            values.at("backends"),
            format!("no backend of pool `{pool}` takes new sessions: none is `up`"),
            None,
        );
    }
    backends
}

fn balance(balance: &Values<'_>) -> Balance {
    let algorithm = match balance.word("algorithm").as_str() {
        "round_robin" => Algorithm::RoundRobin,
        "random" => Algorithm::Random,
        "least_connections" => Algorithm::LeastConnections,
        _ => Algorithm::ConsistentHash,
    };
    Balance { algorithm, load_factor: balance.decimal("load_factor") }
}

fn health(health: &Values<'_>, report: &mut Report<'_>) -> Health {
    let http = health.section("http");
    let tcp = health.has("tcp") && (health.boolean("tcp") || !health.written("tcp").is_some_and(is_boolean));
    if health.has("http") && tcp {
        report.error(
            health.at("tcp"),
            "a pool is checked by `http` or by `tcp`, not both".to_owned(),
            Some("keep `http`: it sees more".to_owned()),
        );
    }
    let path = http.word("path");
    if health.has("http") && !path.starts_with('/') {
        report.error(
            http.at("path"),
            format!("the path `{path}` does not begin with `/`"),
            Some(format!("write `/{path}`")),
        );
    }
    if path.bytes().any(|byte| byte <= b' ' || byte == 0x7F) {
        report.error(
            http.at("path"),
            "a path has no blanks or control characters".to_owned(),
            Some("write `%20` for a blank".to_owned()),
        );
    }
    let (interval, timeout) = (health.duration("interval"), health.duration("timeout"));
    if (health.has("interval") || health.has("timeout")) && timeout > interval {
        let key = if health.has("timeout") { "timeout" } else { "interval" };
        let message = format!(
            "a check may take longer (`timeout: {timeout:?}`) than until the next (`interval: {interval:?}`)"
        );
        report.error(health.at(key), message, Some("make `timeout` at most `interval`".to_owned()));
    }
    let expect = http.texts("expect");
    let check = if health.has("http") {
        let expect = expect.iter().filter_map(|(text, _)| units::status_range(text)).collect();
        Some(Check::Http(HttpCheck { path, host: http.text("host"), expect }))
    } else {
        tcp.then_some(Check::Tcp)
    };
    let passive = health.section("passive");
    Health {
        check,
        interval,
        timeout,
        rise: health.number("rise"),
        fall: health.number("fall"),
        try_home: health.word("existing_sessions") != "move",
        passive: Passive {
            consecutive_failures: passive.number("consecutive_failures"),
            eject: passive.duration("eject"),
        },
        slow_start: health.duration("slow_start"),
    }
}

fn is_boolean(node: &crate::config::node::Node) -> bool {
    matches!(node.value, crate::config::node::Value::Boolean(_))
}

fn timeouts(timeouts: &Values<'_>) -> PoolTimeouts {
    PoolTimeouts {
        connect: timeouts.duration("connect"),
        read: timeouts.duration("read"),
        write: timeouts.duration("write"),
        idle: timeouts.duration("idle"),
    }
}

fn retries(retries: &Values<'_>) -> Retries {
    let on = retries.texts("on");
    let has = |word: &str| on.iter().any(|(text, _)| text == word);
    Retries {
        attempts: retries.number("attempts"),
        on_connect: has("connect"),
        on_reset: has("reset_before_response"),
    }
}
