//! Backends by the service records of a real dnsmasq, which is killed, stopped, emptied and made to lie while clients ask.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::app::App;
use crate::support::balancer::apps;
use crate::support::load::Load;
use crate::support::ports::Port;
use crate::support::program::{Program, text};

const SERVICE: &str = "_http._tcp.app.test";

/// Longer than it takes to look again three times, with the patience for each answer.
const SOME_LOOKS: Duration = Duration::from_secs(4);

/// dnsmasq with what it says; killed when dropped.
struct Dnsmasq(Child);

impl Dnsmasq {
    fn start(at: SocketAddr, says: &[String]) -> Self {
        let dnsmasq = Command::new("dnsmasq")
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root"])
            .args(["--no-resolv", "--no-hosts", "--bind-interfaces", "--local=/test/"])
            .args([format!("--port={}", at.port()), format!("--listen-address={}", at.ip())])
            .args(says)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(dnsmasq)
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().cast_signed()), signal).unwrap();
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Each application's service record, its target made long by `label`.
fn records(apps: &[App], label: &str) -> Vec<String> {
    let record = |app: &App| {
        let target = format!("{}{label}.app.test", app.name);
        [
            format!("--srv-host={SERVICE},{target},{}", app.address.port()),
            format!("--address=/{target}/{}", app.address.ip()),
        ]
    };
    apps.iter().flat_map(record).collect()
}

fn names(apps: &[App]) -> Vec<String> {
    apps.iter().map(|app| format!("{}.app.test", app.name)).collect()
}

/// The ids of backends that take new sessions.
fn up(program: &Program) -> Vec<String> {
    let (_, printed) = program.command(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let backends = status["pools"][0]["backends"].as_array().unwrap().iter();
    let up = backends.filter(|backend| backend["state"] == "up");
    up.map(|backend| backend["id"].as_str().unwrap().to_owned()).collect()
}

fn wait_for(program: &Program, expected: &[String]) {
    for _ in 0..400 {
        if up(program) == expected {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{:?}, not {expected:?}\n{}", up(program), program.log());
}

#[test]
#[ignore = "needs dnsmasq; run by `make e2e`"]
fn no_backend_is_lost_through_a_failure_of_dnsmasq_and_its_changes_are_followed() {
    let (apps, resolver, port) = (apps(6), Port::reserve_for_udp(), Port::reserve());
    let at = resolver.address();
    let (three, four, six) = (names(&apps[..3]), names(&apps[..4]), names(&apps));
    let discovery = format!(
        "    discovery: {{ dns: {{ name: {SERVICE}, refresh: 1s, timeout: 500ms, resolvers: [\"{at}\"] }} }}\n"
    );
    let mut dnsmasq = Dnsmasq::start(at, &records(&apps[..3], ""));
    let file = text(port.address(), &[], &discovery);
    let program = Program::run(port, &file);
    wait_for(&program, &three);
    let load = Load::with(program.address, 16, Duration::from_millis(20));

    // It says nothing any more.
    dnsmasq.signal(Signal::SIGSTOP);
    stays(&program, &three);
    // It is gone.
    drop(dnsmasq);
    stays(&program, &three);
    // It knows no such name, and then the name but no service.
    dnsmasq = Dnsmasq::start(at, &[]);
    stays(&program, &three);
    drop(dnsmasq);
    dnsmasq = Dnsmasq::start(at, &[format!("--txt-record={SERVICE},nothing")]);
    stays(&program, &three);
    drop(dnsmasq);

    // It comes back with one more, and says that nothing will change for a week.
    let week = "--local-ttl=604800".to_owned();
    dnsmasq = Dnsmasq::start(at, &[records(&apps[..4], ""), vec![week]].concat());
    wait_for(&program, &four);
    drop(dnsmasq);
    // Which was not true.
    dnsmasq = Dnsmasq::start(at, &[records(&apps, ""), vec!["--local-ttl=0".to_owned()]].concat());
    wait_for(&program, &six);
    drop(dnsmasq);
    load.end();

    // Names so long that the answer fits no datagram: it is asked for again over TCP.
    let label = format!(".{0}.{0}.{0}", "long".repeat(15));
    let long: Vec<_> = apps.iter().map(|app| format!("{}{label}.app.test", app.name)).collect();
    let _dnsmasq = Dnsmasq::start(at, &records(&apps, &label));
    wait_for(&program, &long);
}

/// A few looks later they are all there, and no others.
fn stays(program: &Program, expected: &[String]) {
    thread::sleep(SOME_LOOKS);
    assert_eq!(up(program), expected);
}
