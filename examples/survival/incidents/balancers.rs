//! Several load balancers, and what happens to them.

use crate::client::{Client, Holds};
use crate::contender::Failure;
use crate::field::{Field, each, pause};

pub(super) fn fail_over(field: &mut Field) -> Result<(), Failure> {
    let mut clients = field.clients_with_sessions(60)?;
    field.contender.kill(0)?;
    let second = field.balancer(1)?;
    each(&mut clients, |client| {
        client.leave();
        client.balancer = second;
        (0..6).for_each(|_| drop(client.get("/page")));
    });
    Ok(())
}

pub(super) fn any_replica(field: &mut Field) -> Result<(), Failure> {
    let balancers = (0..3).map(|replica| field.balancer(replica)).collect::<Result<Vec<_>, _>>()?;
    let mut clients = (0..60).map(|_| field.client()).collect::<Result<Vec<_>, _>>()?;
    each(&mut clients, |client| {
        for _ in 0..12 {
            client.leave();
            client.balancer = balancers.get(rand::random_range(0..3)).copied().unwrap_or(client.balancer);
            client.get("/page");
        }
    });
    Ok(())
}

/// A new key every half second; the second replica learns of each one half a second after the first.
pub(super) fn rotation(field: &mut Field) -> Result<(), Failure> {
    let mut clients = field.clients_with_sessions(40)?;
    let second = field.balancer(1)?;
    clients.iter_mut().skip(1).step_by(2).for_each(|client| client.balancer = second);
    field.during(&mut clients, |field| {
        for _ in 0..10 {
            field.plan.key_generation += 1;
            field.contender.apply(&field.plan, 0)?;
            pause(500);
            field.contender.apply(&field.plan, 1)?;
        }
        Ok(())
    })?;
    let first = field.balancer(0)?;
    each(&mut clients, |client| {
        client.leave();
        client.balancer = if client.balancer == first { second } else { first };
        client.get("/page");
    });
    Ok(())
}

pub(super) fn killed(field: &mut Field) -> Result<(), Failure> {
    let with_cookie = field.clients_with_sessions(40)?;
    let mut clients: Vec<Client> =
        with_cookie.into_iter().map(|client| holding(client, Holds::Application)).collect();
    let without = (0..40).map(|_| Ok(holding(field.client()?, Holds::Path)));
    clients.extend(without.collect::<Result<Vec<_>, Failure>>()?);
    each(&mut clients, |client| (0..2).for_each(|_| drop(client.get("/page"))));
    // What a table on disk may be behind.
    pause(1500);
    field.contender.kill(0)?;
    field.contender.restart(0)?;
    each(&mut clients, |client| {
        client.leave();
        (0..5).for_each(|_| drop(client.get("/page")));
    });
    Ok(())
}

fn holding(mut client: Client, holds: Holds) -> Client {
    client.holds = holds;
    client
}
