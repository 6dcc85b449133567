//! What clients do, or have done to them.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::client::{Client, Holds};
use crate::contender::Failure;
use crate::field::{Field, at_once, each, pause};

pub(super) fn roaming(field: &mut Field) -> Result<(), Failure> {
    let mut clients = field.clients_with_sessions(40)?;
    each(&mut clients, |client| {
        for turn in 0..10_u8 {
            client.source = Ipv4Addr::new(127, 1, turn, 1 + turn);
            client.leave();
            client.get("/page");
        }
    });
    Ok(())
}

pub(super) fn six_at_once(field: &mut Field) -> Result<(), Failure> {
    for _ in 0..40 {
        let browser = field.client()?;
        let answers = at_once(vec![browser.clone(); 6], |copy| copy.get("/page"));
        // The jar once all six came in, each with its cookies.
        let mut jar = browser;
        for (copy, _) in &answers {
            for (name, value) in copy.balancer_cookies() {
                jar.set_cookie(&name, &value);
            }
            if let Some(session) = copy.presented("/page") {
                jar.set_cookie("JSESSIONID", &session);
            }
        }
        (0..4).for_each(|_| drop(jar.get("/page")));
    }
    Ok(())
}

pub(super) fn login_in_flight(field: &mut Field) -> Result<(), Failure> {
    let clients = field.clients_with_sessions(25)?;
    for mut client in clients {
        // Pages that are asked for while the login is under way, with the old id.
        let old = client.clone();
        let flying = std::thread::spawn(move || {
            at_once(vec![old; 8], |copy| {
                pause(5);
                copy.get("/plain");
            })
        });
        client.get("/login");
        flying.join().or(Err("a client broke"))?;
        (0..4).for_each(|_| drop(client.get("/page")));
    }
    Ok(())
}

pub(super) fn logout_and_login(field: &mut Field) -> Result<(), Failure> {
    let mut clients = field.clients_with_sessions(40)?;
    each(&mut clients, |client| {
        client.get("/page");
        client.get("/logout");
        client.get("/page");
        client.get("/login");
        (0..4).for_each(|_| drop(client.get("/page")));
    });
    Ok(())
}

pub(super) fn balancer_cookie_lost(field: &mut Field) -> Result<(), Failure> {
    let mut clients = field.clients_with_sessions(40)?;
    each(&mut clients, |client| {
        client.holds = Holds::Application;
        client.leave();
        (0..10).for_each(|_| drop(client.get("/page")));
    });
    Ok(())
}

pub(super) fn application_cookie_lost(field: &mut Field) -> Result<(), Failure> {
    for client in &mut field.clients_with_sessions(40)? {
        let home = client.presented("/page").and_then(|id| field.judge.home(&id));
        let held = !client.balancer_cookies().is_empty();
        client.holds = Holds::Balancer;
        client.leave();
        let went = client.get("/page").map(|response| response.seen.server);
        if held && went != home {
            field.judge.broken(&format!("the LB cookie of {home:?} led to {went:?}"));
        }
        client.holds = Holds::All;
        (0..4).for_each(|_| drop(client.get("/page")));
    }
    Ok(())
}

pub(super) fn path_only(field: &mut Field) -> Result<(), Failure> {
    let mut clients = (0..40).map(|_| field.client()).collect::<Result<Vec<_>, _>>()?;
    each(&mut clients, |client| {
        client.holds = Holds::Path;
        for _ in 0..10 {
            client.leave();
            client.get("/page");
        }
    });
    Ok(())
}

pub(super) fn two_contexts(field: &mut Field) -> Result<(), Failure> {
    let mut clients = (0..40).map(|_| field.client()).collect::<Result<Vec<_>, _>>()?;
    each(&mut clients, |client| {
        for turn in 0..12 {
            client.get(if turn % 2 == 0 { "/one/page" } else { "/two/page" });
            if turn == 5 {
                client.get("/one/login");
            }
            client.leave();
        }
    });
    Ok(())
}

pub(super) fn forged(field: &mut Field) -> Result<(), Failure> {
    let clients = field.clients_with_sessions(60)?;
    let others = clients.iter().skip(1).chain(clients.iter().take(1)).map(Client::balancer_cookies);
    let foreign: Vec<_> = others.collect();
    for (turn, (mut client, foreign)) in clients.into_iter().zip(foreign).enumerate() {
        let own = client.balancer_cookies();
        for (name, value) in own {
            let forged = match turn % 5 {
                0 => foreign.first().map_or(String::new(), |(_, value)| value.clone()),
                1 => value.chars().rev().collect(),
                2 => value.chars().take(value.len() / 2).collect(),
                3 => "app3".to_owned(),
                _ => "x".repeat(6000),
            };
            client.set_cookie(&name, &forged);
        }
        (0..3).for_each(|_| drop(client.get("/page")));
    }
    Ok(())
}

pub(super) fn web_socket(field: &mut Field) -> Result<(), Failure> {
    for mut client in field.clients_with_sessions(30)? {
        (0..4).for_each(|_| drop(client.web_socket()));
        client.leave();
        client.get("/page");
    }
    Ok(())
}

/// The first page of an application over HTTP/2: a hundred requests on one connection before any cookie has come.
pub(super) fn hundred_streams(field: &mut Field) -> Result<(), Failure> {
    for _ in 0..10 {
        let mut client = field.client()?;
        let answers = client.streams("/page", 100);
        let servers: BTreeSet<_> = answers.iter().map(|answer| answer.seen.server.as_str()).collect();
        if answers.len() != 100 || servers.len() != 1 {
            let (count, servers) = (answers.len(), servers.len());
            field.judge.broken(&format!("100 first streams got {count} answers of {servers} servers"));
        }
        // From now on with what the last of them have set, each time on another connection.
        (0..4).for_each(|_| drop(client.streams("/page", 10)));
    }
    Ok(())
}

/// Plays a shared cache (RFC 9111 section 3): what it may store, everybody gets, cookies included.
pub(super) fn shared_cache(field: &mut Field) -> Result<(), Failure> {
    for _ in 0..20 {
        let mut client = field.client()?;
        for path in ["/static", "/careless", "/static", "/page", "/careless"] {
            let Some(response) = client.get(path) else { continue };
            let control = response.fields("cache-control").collect::<Vec<_>>().join(",").to_ascii_lowercase();
            let stored = control.contains("public") || control.contains("max-age");
            let private = ["private", "no-store", "no-cache"].iter().any(|word| control.contains(word));
            let cookies: Vec<_> = response.fields("set-cookie").collect();
            if stored && !private && !cookies.is_empty() {
                field
                    .judge
                    .broken(&format!("a shared cache may store {path} with {} cookies", cookies.len()));
            }
        }
    }
    Ok(())
}
