//! Socket.IO in Debian's Chromium, over HTTPS and HTTP/2, on three Node servers that keep sessions in memory: who logs in
//! stays logged in while a backend drains and while WebSockets fall back to long polling.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::balancer::SHARED;
use crate::support::ports::Port;
use crate::support::steadfast::Steadfast;
use crate::support::tls::Authority;

const NAMES: [&str; 3] = ["app1", "app2", "app3"];

/// Refuses every WebSocket, as some proxies do.
const REFUSAL: &str = "      - match: { header: { Upgrade: websocket } }\n        respond: { status: 403 }\n";

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// An application; ends when dropped.
struct Server {
    child: Child,
    port: Port,
}

impl Server {
    fn start(name: &str) -> Self {
        let port = Port::reserve();
        let mut child = Command::new("node")
            .arg(root("tests/e2e/chat_server.mjs"))
            .args([&port.address().port().to_string(), name])
            .arg(root("target/browser"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is there: `make e2e-deps` installs it");
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "serving\n", "{name}");
        Self { child, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lets `visitors` log in and talk, with these lines in the pool; gives what they say at the end.
async fn visit(visitors: usize, pool: &str) -> String {
    let authority = Authority::new();
    let site = authority.issue("site", &["localhost"], "site");
    let servers: Vec<_> = NAMES.iter().map(|name| Server::start(name)).collect();
    let backends = NAMES.iter().zip(&servers);
    let backends: Vec<_> = backends
        .map(|(name, server)| format!("{{ id: {name}, address: \"{}\" }}", server.port.address()))
        .collect();
    let (port, admin) = (Port::reserve(), Port::reserve());
    let url = format!("https://localhost:{}", port.address().port());
    let address = port.address();
    let yaml = |routes: &str| {
        format!(
            "version: 1\nstate_dir: state\n{SHARED}admin: {{ listen: '{}' }}\nlisteners:\n  - name: web\n    address: '{address}'\n    \
             tls: {{ certificates: [ {{ {site} }} ] }}\n    routes:\n{routes}      - pool: app\npools:\n  app:\n    \
             backends: [ {} ]\n{pool}",
            admin.address(),
            backends.join(", ")
        )
    };
    let steadfast = Steadfast::start(port, &yaml("")).await;
    let post = async |path: &str| {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let call = http.post(format!("http://{}{path}", admin.address()));
        let answer = call.header("content-type", "application/json").body("{}").send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
    };
    let mut script = Command::new("node")
        .arg(root("tests/e2e/socket_io.mjs"))
        .arg(url)
        .arg(root("target/browser"))
        .arg(visitors.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answers = script.stdin.take().unwrap();
    let mut said = String::new();
    for line in BufReader::new(script.stdout.take().unwrap()).lines().map(Result::unwrap) {
        println!("{line}");
        if let Some(name) = line.strip_prefix("drain ") {
            if name != "undefined" {
                post(&format!("/v1/pools/app/backends/{name}/drain")).await;
            }
            writeln!(answers, "drains").unwrap();
        }
        if line == "refuse WebSockets" {
            std::fs::write(steadfast.file(), yaml(REFUSAL)).unwrap();
            post("/v1/reload").await;
            writeln!(answers, "refused").unwrap();
        }
        said = line;
    }
    assert!(script.wait().unwrap().success(), "{said}{}", steadfast.said());
    said
}

#[tokio::test]
#[ignore = "needs Debian's chromium, and node: make e2e"]
async fn who_has_logged_in_stays_so_while_a_backend_drains_and_websockets_fall_back() {
    let said = visit(9, "    affinity: { application_cookie: sid }\n").await;
    assert!(said.ends_with(" 3 servers, 0 sessions lost"), "{said}");
    // So that it is not for want of a reason.
    let said = visit(1, "    affinity: { mode: none }\n    balance: { algorithm: round_robin }\n").await;
    assert!(!said.ends_with(" 0 sessions lost"), "without affinity sessions are lost: {said}");
}
