//! Changes that an operator makes while everything works.

use crate::client::Holds;
use crate::contender::Failure;
use crate::field::{Field, each, pause};

pub(super) fn steady(field: &mut Field) -> Result<(), Failure> {
    let mut clients = field.clients_with_sessions(60)?;
    each(&mut clients, |client| {
        for turn in 0..20 {
            client.get(if turn % 3 == 0 { "/plain" } else { "/page" });
            if turn % 5 == 0 {
                client.leave();
            }
        }
    });
    Ok(())
}

pub(super) fn two_added(field: &mut Field) -> Result<(), Failure> {
    let mut clients = field.clients_with_sessions(60)?;
    field.during(&mut clients, |field| {
        field.add_server()?;
        field.add_server()?;
        field.apply()
    })?;
    let mut more = field.clients_with_sessions(60)?;
    let used =
        more.iter().filter_map(|client| client.presented("/page").and_then(|id| field.judge.home(&id)));
    let new = used.filter(|server| server == "app4" || server == "app5").count();
    if new == 0 {
        field.judge.broken("nobody uses the new backends");
    }
    each(&mut more, |client| drop(client.get("/page")));
    Ok(())
}

pub(super) fn drain(field: &mut Field) -> Result<(), Failure> {
    let mut clients = field.clients_with_sessions(60)?;
    field.during(&mut clients, |field| {
        field.plan.backends.get_mut(1).ok_or("no backend")?.draining = true;
        field.apply()?;
        field.judge.draining("app2");
        Ok(())
    })?;
    let mut more = field.clients_with_sessions(60)?;
    clients.append(&mut more);
    each(&mut clients, |client| (0..5).for_each(|_| drop(client.get("/page"))));
    Ok(())
}

pub(super) fn reload(field: &mut Field) -> Result<(), Failure> {
    let mut clients = field.clients_with_sessions(60)?;
    field.during(&mut clients, |field| {
        (0..5).try_for_each(|_| {
            pause(100);
            field.apply()
        })
    })
}

/// Three times, with clients that hold all their cookies, and such that hold only the application's or only its links.
pub(super) fn upgrade(field: &mut Field) -> Result<(), Failure> {
    let mut clients = field.clients_with_sessions(40)?;
    clients.iter_mut().step_by(2).for_each(|client| client.holds = Holds::Application);
    let mut by_path = (0..20).map(|_| field.client()).collect::<Result<Vec<_>, _>>()?;
    by_path.iter_mut().for_each(|client| client.holds = Holds::Path);
    clients.append(&mut by_path);
    each(&mut clients, |client| (0..2).for_each(|_| drop(client.get("/page"))));
    field.during(&mut clients, |field| {
        (0..3).try_for_each(|_| {
            pause(200);
            field.contender.upgrade(0)
        })
    })?;
    // The old process has connections that wait for their next request.
    each(&mut clients, |client| (0..3).for_each(|_| drop(client.get("/page"))));
    Ok(())
}

pub(super) fn new_address(field: &mut Field) -> Result<(), Failure> {
    let mut clients = field.clients_with_sessions(60)?;
    field.server(1)?.change_address()?;
    let address = field.server(1)?.address;
    field.plan.backends.get_mut(1).ok_or("no backend")?.address = address;
    field.apply()?;
    each(&mut clients, |client| (0..5).for_each(|_| drop(client.get("/page"))));
    Ok(())
}
