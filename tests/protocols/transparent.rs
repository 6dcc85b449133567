//! The backend sees the client's own address, between network namespaces of this test's own: a client, the balancer and a
//! backend, each with its network, as behind a classic balancer.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

const CLIENT: &str = "10.77.1.2";
const BALANCER: &str = "10.77.1.1";
const BALANCER_AT_BACKEND: &str = "10.77.2.1";
const BACKEND: &str = "10.77.2.2";

/// Tells who connects.
const SERVER: &str = "import socket
s = socket.create_server(('10.77.2.2', 5000), backlog=100)
while True:
    c, peer = s.accept()
    try:
        c.recv(1) and c.sendall(peer[0].encode())
    except OSError:
        pass
    c.close()";

/// Waits until it is served, and prints what it is told.
const ASK: &str = "import socket, time
for _ in range(100):
    try:
        c = socket.create_connection(('10.77.1.1', 5000), 2)
        c.sendall(b'?')
        told = c.recv(99).decode()
        if told:
            print(told)
            break
    except OSError:
        pass
    time.sleep(0.1)";

/// Three namespaces and the wires between them; gone when dropped.
struct Networks {
    prefix: String,
    running: Vec<Child>,
}

impl Networks {
    /// `None` where the kernel forbids them.
    fn make() -> Option<Self> {
        let networks = Self { prefix: format!("sf{}", std::process::id()), running: Vec::new() };
        let [client, balancer, backend] = ["c", "l", "b"].map(|name| networks.name(name));
        let wire = |at: &str, other: &str, index: u32| {
            format!(
                "link add to{index} netns {at} type veth peer name to{index} netns {other}\n\
                 -n {at} link set to{index} up\n-n {other} link set to{index} up\n-n {at} link set lo up\n-n {other} link set lo up"
            )
        };
        let lines = [
            format!("netns add {client}\nnetns add {balancer}\nnetns add {backend}"),
            wire(&client, &balancer, 1),
            wire(&backend, &balancer, 2),
            format!("-n {client} addr add {CLIENT}/24 dev to1\n-n {balancer} addr add {BALANCER}/24 dev to1"),
            format!("-n {backend} addr add {BACKEND}/24 dev to2"),
            format!("-n {balancer} addr add {BALANCER_AT_BACKEND}/24 dev to2"),
            format!("-n {backend} route add default via {BALANCER_AT_BACKEND}"),
            // What backends answer to clients ends here, as docs/layer4.md has it.
            format!("-n {balancer} rule add iif to2 lookup 77"),
            format!("-n {balancer} route add local default dev lo table 77"),
        ];
        let made = lines.iter().flat_map(|lines| lines.lines()).all(|line| {
            let ip = Command::new("ip").args(line.split(' ')).output();
            ip.is_ok_and(|ip| ip.status.success() || panic_at(line, &ip.stderr))
        });
        made.then_some(networks)
    }

    fn name(&self, which: &str) -> String {
        format!("{}{which}", self.prefix)
    }

    fn command(&self, which: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(which), program]);
        command
    }

    fn start(&mut self, mut command: Command) {
        self.running.push(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }
}

/// Only a kernel that forbids namespaces is excused.
fn panic_at(line: &str, said: &[u8]) -> bool {
    let said = String::from_utf8_lossy(said);
    assert!(said.contains("Operation not permitted"), "ip {line}: {said}");
    false
}

impl Drop for Networks {
    fn drop(&mut self) {
        for running in &mut self.running {
            let _ = running.kill();
            let _ = running.wait();
        }
        for which in ["c", "l", "b"] {
            let _ = Command::new("ip").args(["netns", "del", &self.name(which)]).status();
        }
    }
}

/// The address that the backend sees.
fn seen(networks: &mut Networks, pool: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("steadfast.yaml");
    let text = format!(
        "version: 1\nstate_dir: state\nlisteners:\n  - {{ name: tcp, protocol: tcp, address: \"{BALANCER}:5000\", pool: app }}\n\
         pools:\n  app:\n    backends: [ {{ id: one, address: \"{BACKEND}:5000\" }} ]\n{pool}"
    );
    fs::write(&file, text).unwrap();
    let mut balancer = networks.command("l", env!("CARGO_BIN_EXE_steadfast"));
    balancer.args(["run", "-c"]).arg(&file);
    networks.start(balancer);
    let asked = networks.command("c", "python3").args(["-c", ASK]).output().unwrap();
    let mut balancer = networks.running.pop().unwrap();
    balancer.kill().unwrap();
    balancer.wait().unwrap();
    thread::sleep(Duration::from_millis(100));
    String::from_utf8(asked.stdout).unwrap().trim().to_owned()
}

#[test]
#[ignore = "needs root and iproute2; run by `make e2e-protocols`"]
fn a_backend_sees_the_address_of_the_client_where_that_is_wanted() {
    let Some(mut networks) = Networks::make() else {
        return println!("SKIPPED: the kernel forbids network namespaces here");
    };
    let mut server = networks.command("b", "python3");
    server.args(["-c", SERVER]);
    networks.start(server);
    assert_eq!(seen(&mut networks, ""), BALANCER_AT_BACKEND);
    assert_eq!(seen(&mut networks, "    source: client\n"), CLIENT);
}
