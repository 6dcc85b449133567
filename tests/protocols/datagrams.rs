//! DNS and syslog over UDP through layer 4.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use steadfast::config::checked::BackendState;
use steadfast::lifecycle::BackendChange;

use crate::real::{Server, said, until};
use crate::support::balancer::SHARED;
use crate::support::layer4::Layer4;
use crate::support::tcp::client;

fn balancer(backends: &[(String, SocketAddr)], pool: &str) -> Layer4 {
    let backend = |(id, address): &(String, SocketAddr)| format!("{{ id: {id}, address: \"{address}\" }}");
    let backends: Vec<_> = backends.iter().map(backend).collect();
    Layer4::start(&format!(
        "version: 1\nstate_dir: state\n{SHARED}listeners:\n  - {{ name: udp, protocol: udp, address: \"127.0.0.1:0\", pool: app }}\n\
         pools:\n  app:\n    backends: [ {} ]\n{pool}",
        backends.join(", ")
    ))
}

/// A name server that says who it is: `who.test` is 127.0.0.N.
fn name_server(n: usize) -> Server {
    Server::start(&format!("dns{n}"), move |address| {
        let mut command = Command::new("dnsmasq");
        let (ip, port) = (address.ip(), address.port());
        command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"]).args([
            "--bind-interfaces".to_owned(),
            "--pid-file=".to_owned(),
            format!("--listen-address={ip}"),
            format!("--port={port}"),
            format!("--address=/who.test/127.0.0.{n}"),
        ]);
        command
    })
}

/// Who answers a client.
fn dig(from: Ipv4Addr, to: SocketAddr) -> String {
    let output = Command::new("dig")
        .args(["-b", &from.to_string(), &format!("@{}", to.ip()), "-p", &to.port().to_string()])
        .args(["who.test", "A", "+short", "+tries=4", "+time=2"])
        .output()
        .unwrap();
    let answer = said(&output).trim().to_owned();
    answer.strip_prefix("127.0.0.").map_or_else(|| answer.clone(), |n| format!("dns{n}"))
}

#[test]
#[ignore = "needs dig and dnsmasq; `make e2e-protocols`"]
fn dig_keeps_its_name_server_until_that_dies() {
    let mut servers = [name_server(1), name_server(2)];
    let backends: Vec<_> =
        servers.iter().map(|server| (server.name().to_owned(), server.address())).collect();
    let pool = "    health: { dns: { name: who.test }, interval: 200ms, timeout: 200ms }\n";
    let balancer = balancer(&backends, pool);
    let ask = || (0..30).map(|n| dig(client(n), balancer.address)).collect::<Vec<_>>();
    let before = ask();
    let used: BTreeSet<_> = before.iter().map(String::as_str).collect();
    assert_eq!(used, BTreeSet::from(["dns1", "dns2"]));
    assert_eq!(ask(), before, "steady");
    servers[0].kill();
    let after = ask();
    assert!(after.iter().all(|home| home == "dns2"), "{after:?}");
    servers[0].restart();
    until("its check passes", || {
        balancer.current.load().pools[0].pool.backends()[0].takes_new(steadfast::clock::Now::read())
    });
    assert_eq!(ask(), after, "moved once");
    let fresh: BTreeSet<_> = (100..130).map(|n| dig(client(n), balancer.address)).collect();
    assert_eq!(fresh.len(), 2, "new clients go to both again");
}

/// rsyslogd, which writes what it hears into a file; killed when dropped.
struct Receiver(Child);

impl Receiver {
    fn start(name: &str, address: SocketAddr, folder: &Path) -> Self {
        let file = |ending: &str| folder.join(format!("{name}.{ending}")).display().to_string();
        let configuration = format!(
            "module(load=\"imudp\")\ninput(type=\"imudp\" address=\"{}\" port=\"{}\")\naction(type=\"omfile\" file=\"{}\")\n",
            address.ip(),
            address.port(),
            file("log")
        );
        fs::write(file("conf"), configuration).unwrap();
        let child = Command::new("rsyslogd")
            .args(["-n", "-f", &file("conf"), "-i", &file("pid")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("it runs", || folder.join(format!("{name}.pid")).exists());
        Self(child)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs logger and rsyslogd; `make e2e-protocols`"]
fn lines_of_one_logger_arrive_at_one_receiver_until_that_is_drained() {
    let folder = tempfile::tempdir().unwrap();
    let free = || std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let sockets = [free(), free()];
    let backends: Vec<_> =
        (1..).map(|n| format!("log{n}")).zip(sockets.iter().map(|it| it.local_addr().unwrap())).collect();
    drop(sockets);
    let _receivers: Vec<_> =
        backends.iter().map(|(name, address)| Receiver::start(name, *address, folder.path())).collect();
    let balancer = balancer(&backends, "");
    let heard = |name: &str, word: &str| {
        let text = fs::read_to_string(folder.path().join(format!("{name}.log"))).unwrap_or_default();
        text.lines().filter(|line| line.contains(word)).count()
    };
    let log = |word: &str| {
        for n in 0..30 {
            let port = balancer.address.port().to_string();
            let logged = Command::new("logger")
                .args(["--server", "127.0.0.1", "--udp", "--port", &port, &format!("{word} {n}")])
                .status()
                .unwrap();
            assert!(logged.success());
        }
    };
    log("first");
    until("all lines arrive", || heard("log1", "first") + heard("log2", "first") == 30);
    let (home, other) = if heard("log1", "first") > 0 { ("log1", "log2") } else { ("log2", "log1") };
    assert_eq!((heard(home, "first"), heard(other, "first")), (30, 0), "one client, one receiver");
    let drain = BackendChange {
        state: Some(BackendState::Draining),
        deadline: Some(Duration::from_millis(1)),
        ..BackendChange::default()
    };
    balancer.control.change("app", home, &drain).unwrap();
    until("the deadline has passed", || balancer.listeners[0].open() == 0);
    log("second");
    until("all lines arrive", || heard(other, "second") == 30);
    assert_eq!(heard(home, "second"), 0);
}
