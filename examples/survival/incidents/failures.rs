//! Servers that die, stand still, or seem to.

use std::collections::HashSet;
use std::time::Duration;

use crate::client::Client;
use crate::contender::Failure;
use crate::field::{Field, at_once, each, pause};

pub(super) fn killed(field: &mut Field) -> Result<(), Failure> {
    let mut clients = field.clients_with_sessions(60)?;
    field.during(&mut clients, |field| {
        field.kill_server(1)?;
        pause(1000);
        Ok(())
    })?;
    each(&mut clients, |client| (0..5).for_each(|_| drop(client.get("/page"))));
    Ok(())
}

pub(super) fn killed_and_back(field: &mut Field) -> Result<(), Failure> {
    let mut clients = field.clients_with_sessions(60)?;
    field.kill_server(1)?;
    each(&mut clients, |client| (0..3).for_each(|_| drop(client.get("/page"))));
    pause(7000);
    field.start_server(1)?;
    field.during(&mut clients, |_| {
        pause(6000);
        Ok(())
    })
}

pub(super) fn blips(field: &mut Field) -> Result<(), Failure> {
    let mut clients = field.clients_with_sessions(60)?;
    for ms in [200, 1000, 3000] {
        field.during(&mut clients, |field| field.server(1)?.freeze(Duration::from_millis(ms)))?;
    }
    Ok(())
}

pub(super) fn restart(field: &mut Field) -> Result<(), Failure> {
    let mut clients = field.clients_with_sessions(90)?;
    // Long enough to see that sessions live on here, and that new ids are the exception.
    for _ in 0..27 {
        each(&mut clients, |client| drop(client.get("/page")));
        pause(1000);
    }
    field.kill_server(1)?;
    field.start_server(1)?;
    // New sessions begin on the empty server before and after anybody can know; the judge sees whether they stay.
    let mut news = field.clients_with_sessions(10)?;
    each(&mut clients, |client| (0..3).for_each(|_| drop(client.get("/page"))));
    news.extend(field.clients_with_sessions(30)?);
    each(&mut news, |client| (0..3).for_each(|_| drop(client.get("/page"))));
    each(&mut clients, |client| (0..3).for_each(|_| drop(client.get("/page"))));
    let lost = field.judge.count().unavoidable;
    if let Some(reported) = field.contender.reported_losses()
        && !(1..=lost).contains(&reported)
    {
        field.judge.broken(&format!("{lost} sessions were lost, and {reported} reported"));
    }
    Ok(())
}

pub(super) fn six_after_death(field: &mut Field) -> Result<(), Failure> {
    let clients = field.clients_with_sessions(60)?;
    let of_second = |client: &&Client| {
        client.presented("/page").and_then(|id| field.judge.home(&id)).is_some_and(|home| home == "app2")
    };
    let victims: Vec<_> = clients.iter().filter(of_second).cloned().collect();
    field.kill_server(1)?;
    for victim in victims {
        let copies = (0..6).map(|n| -> Result<Client, Failure> {
            let mut copy = victim.clone();
            copy.balancer = field.balancer(n % 2)?;
            Ok(copy)
        });
        let answers = at_once(copies.collect::<Result<_, _>>()?, |copy| copy.get("/page"));
        let servers: HashSet<_> =
            answers.iter().filter_map(|(_, response)| Some(response.as_ref()?.seen.server.clone())).collect();
        if servers.len() > 1 {
            field.judge.broken(&format!("one user's six requests went to {servers:?}"));
        }
        // The browser keeps the cookies of one of them.
        if let Some((mut last, _)) = answers.into_iter().next_back() {
            (0..3).for_each(|_| drop(last.get("/page")));
        }
    }
    Ok(())
}

pub(super) fn page_fails(field: &mut Field) -> Result<(), Failure> {
    let mut clients = field.clients_with_sessions(60)?;
    // Longer than any check needs to notice.
    field.server(1)?.fail_health(Duration::from_secs(9))?;
    field.during(&mut clients, |_| {
        pause(12_000);
        Ok(())
    })
}
