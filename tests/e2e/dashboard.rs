//! The dashboard in Debian's Chromium: a script opens it, drains a backend, watches its sessions go to zero, loses one on
//! purpose and sees it explained. Screenshots are left in `target/dashboard/`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::app::App;
use crate::support::balancer::{SHARED, configuration};
use crate::support::ports::Port;
use crate::support::steadfast::Steadfast;
use crate::support::tls::Authority;

const TOKEN: &str = "0123456789abcdef-SECRET-0123456789";

#[tokio::test]
#[ignore = "needs Debian's chromium, and node: make e2e"]
async fn the_dashboard_shows_what_happens_and_why() {
    let apps: Vec<_> = (1..=3).map(|n| App::start(&format!("app{n}"))).collect();
    let (port, admin) = (Port::reserve(), Port::reserve());
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("admin.token");
    std::fs::write(&token, TOKEN).unwrap();
    let top = format!(
        "{SHARED}admin: {{ listen: '{}', token_file: '{}', dashboard: true }}\n",
        admin.address(),
        token.display()
    );
    let pool = "    health: { tcp: true, interval: 500ms, timeout: 400ms }\n";
    // One that ends soon, one that does not.
    let authority = Authority::new();
    let certificates =
        [authority.issue_for("soon", &["soon.test"], 5), authority.issue_for("late", &["late.test"], 200)];
    let secure = Port::reserve();
    let listener = format!(
        "  - name: secure\n    address: '{}'\n    tls: {{ certificates: [ {{ {} }}, {{ {} }} ] }}\n    routes: [ {{ pool: app }} ]\n",
        secure.address(),
        certificates[0],
        certificates[1]
    );
    let yaml =
        configuration(&apps, &top, &listener, pool).replace("127.0.0.1:0", &port.address().to_string());
    let steadfast = Steadfast::start(port, &yaml).await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut script = Command::new("node")
        .arg(root.join("tests/e2e/dashboard.mjs"))
        .args([format!("http://{}/", admin.address()), steadfast.url(), TOKEN.to_owned()])
        .args([root.join("target/dashboard"), root.join("target/browser")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is there: `make e2e-deps` installs it");
    let mut said = String::new();
    let mut answers = script.stdin.take().unwrap();
    for line in BufReader::new(script.stdout.take().unwrap()).lines().map(Result::unwrap) {
        println!("{line}");
        if let Some(name) = line.strip_prefix("stop ") {
            apps.iter().find(|app| app.name == name).unwrap().stop();
            writeln!(answers, "stopped").unwrap();
        }
        said.push_str(&line);
        said.push('\n');
    }
    assert!(script.wait().unwrap().success(), "{said}{}", steadfast.said());
    assert!(said.ends_with("done\n"), "{said}");
    assert!(!steadfast.said().contains("SECRET"), "no token in the log");
}
