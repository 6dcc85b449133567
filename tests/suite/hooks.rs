//! Hooks: the examples as real programs, and what a hook that goes wrong costs.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};

use steadfast::Steadfast;
use steadfast::hooks::{BoxError, Hook, RequestView, Verdict};
use tempfile::TempDir;

use crate::support::app::App;
use crate::support::balancer::{apps, checked, configuration};
use crate::support::exchange::get;
use crate::support::ports::Port;

/// An example, running as a process; ended when dropped.
struct Example {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
    _port: Port,
}

impl Example {
    fn start(name: &str, configuration: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = Port::reserve();
        let address = port.address();
        let file = folder.path().join("steadfast.yaml");
        std::fs::write(&file, configuration.replace("127.0.0.1:0", &address.to_string())).unwrap();
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_steadfast")).with_file_name("examples").join(name);
        assert!(binary.exists(), "build it first: cargo build --examples");
        let child = Command::new(binary).arg(file).args(arguments).spawn().unwrap();
        while TcpStream::connect(address).is_err() {
            std::thread::yield_now();
        }
        Self { child, address, _folder: folder, _port: port }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_claim_of_a_token_names_the_session() {
    let apps = apps(3);
    let example = Example::start("jwt_session_key", &configuration(&apps, "", "", ""), &[]);
    for user in 0..20 {
        let payload = base64::Engine::encode(
            &base64::engine::general_purpose::URL_SAFE_NO_PAD,
            format!("{{\"sub\":\"user{user}\"}}"),
        );
        let bearer = format!("Authorization: Bearer e30.{payload}.c2ln");
        let first = get(example.address, "/plain", &[&bearer, "User-Agent: one"]);
        for agent in ["User-Agent: two", "User-Agent: three"] {
            assert_eq!(get(example.address, "/plain", &[&bearer, agent]).server(), first.server());
        }
    }
}

#[test]
fn a_tenant_chooses_the_pool() {
    let apps = apps(2);
    let text = configuration(&apps[..1], "", "", "");
    let text =
        format!("{text}  reports:\n    backends: [ {{ id: r1, address: \"{}\" }} ]\n", apps[1].address);
    let example = Example::start("tenant_pool", &text, &["reports"]);
    assert_eq!(get(example.address, "/plain", &[]).server(), "app1");
    assert_eq!(get(example.address, "/plain", &["X-Tenant: reports"]).server(), "app2");
    assert_eq!(get(example.address, "/plain", &["X-Tenant: nobody"]).status, 403);
}

struct Faulty;

impl Hook for Faulty {
    type State = u32;

    fn on_request(&self, request: &mut RequestView<'_>, state: &mut u32) -> Result<Verdict, BoxError> {
        *state += 1;
        match request.path() {
            "/panic" => panic!("on purpose"),
            "/fail" => Err("on purpose".into()),
            _ => {
                request.set_header("X-Seen", &state.to_string())?;
                Ok(Verdict::Continue)
            }
        }
    }
}

#[test]
fn a_hook_that_panics_or_fails_costs_one_request() {
    let apps: Vec<App> = apps(1);
    let folder = tempfile::tempdir().unwrap();
    let bound = Steadfast::from_checked(checked(&configuration(&apps, "", "", ""), folder.path()))
        .hook(Faulty)
        .bind()
        .unwrap();
    let address = bound.addresses()[0].1;
    let _running = bound.spawn().unwrap();
    for path in ["/panic", "/fail", "/panic"] {
        assert_eq!(get(address, path, &[]).status, 500);
    }
    assert!(
        get(address, "/echo", &[]).body.to_lowercase().contains("x-seen: 1\r\n"),
        "each request has a state of its own"
    );
}
