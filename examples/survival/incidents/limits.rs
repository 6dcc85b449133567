//! How much each server gets.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Instant;

use crate::client::{Client, Response};
use crate::contender::Failure;
use crate::field::{Field, at_once, each};

/// One backend has more to do than it may: its sessions wait, and nobody else does.
pub(super) fn full(field: &mut Field) -> Result<(), Failure> {
    let clients = field.clients_with_sessions(90)?;
    let home = |client: &Client| client.presented("/page").and_then(|id| field.judge.home(&id));
    let (busy, idle): (Vec<_>, Vec<_>) =
        clients.into_iter().partition(|client| home(client).is_some_and(|home| home == "app1"));
    let waiting = std::thread::spawn(move || at_once(busy, |client| drop(client.get("/slow"))));
    let mut idle = idle;
    crate::field::pause(50);
    let start = Instant::now();
    each(&mut idle, |client| drop(client.get("/page")));
    let took = start.elapsed();
    if took.as_secs() >= 2 {
        field.judge.broken(&format!("sessions of other backends waited {took:?}"));
    }
    waiting.join().or(Err("a client broke"))?;
    Ok(())
}

/// Sessions of one address, and of many, against the weights.
pub(super) fn spread(field: &mut Field) -> Result<(), Failure> {
    let one = sessions(field, 4_000, |_| Ipv4Addr::LOCALHOST)?;
    let fair = 4_000 / 3;
    if one.values().any(|count| *count > fair * 125 / 100 + 1) {
        field.judge.broken(&format!("from one address: {one:?}, which is above 1.25 of {fair}"));
    }
    let many = sessions(field, 6_000, |n| {
        let [_, _, third, fourth] = n.to_be_bytes();
        Ipv4Addr::new(127, 2, third, fourth)
    })?;
    if many.values().any(|count| count.abs_diff(2_000) > 200) || many.len() != 3 {
        field.judge.broken(&format!("from many addresses: {many:?}, which is not within 10 % of 2000"));
    }
    Ok(())
}

fn sessions(
    field: &Field,
    count: u32,
    source: impl Fn(u32) -> Ipv4Addr,
) -> Result<HashMap<String, u32>, Failure> {
    let mut clients = Vec::new();
    for n in 0..count {
        let mut client = field.client()?;
        client.source = source(n);
        clients.push(client);
    }
    let servers = std::sync::Mutex::new(HashMap::new());
    each(&mut clients, |client| {
        let response = client.get("/page");
        client.leave();
        if let Some(Response { seen, .. }) = response
            && let Ok(mut servers) = servers.lock()
        {
            *servers.entry(seen.server).or_insert(0) += 1;
        }
    });
    Ok(servers.into_inner().or(Err("a client broke"))?)
}
