//! Schemathesis against the admin API: it reads the API's description, invents requests, good and bad, and finds where
//! the answers are not what the description says.
//!
//! `make e2e-deps` installs it into `target/schemathesis`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::app::App;
use crate::support::eventually::eventually;
use crate::support::ports::Port;
use crate::support::steadfast::Steadfast;

const TOKEN: &str = "0123456789abcdef-SECRET-0123456789";
/// Invented requests for each endpoint and phase; raise it for a longer search.
const EXAMPLES: &str = "40";
/// The same requests each time: a test must not find something new by chance.
const SEED: &str = "1";

fn schemathesis() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/schemathesis/bin/schemathesis");
    assert!(path.exists(), "schemathesis is missing: `make e2e-deps` installs it");
    path
}

#[tokio::test]
#[ignore = "needs schemathesis: run `make e2e`"]
async fn schemathesis_finds_nothing_against_the_admin_api() {
    let apps: Vec<_> = (1..=3).map(|n| App::start(&format!("app{n}"))).collect();
    let (port, admin) = (Port::reserve(), Port::reserve());
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("admin.token");
    std::fs::write(&token, TOKEN).unwrap();
    let backends: Vec<_> =
        apps.iter().map(|app| format!("{{ id: {}, address: '{}' }}", app.name, app.address)).collect();
    let yaml = format!(
        "version: 1\nstate_dir: state\nadmin: {{ listen: '{}', token_file: '{}' }}\nlisteners:\n  - name: web\n    \
         address: '{}'\n    routes: [ {{ pool: app }} ]\npools:\n  app:\n    backends: [ {} ]\n",
        admin.address(),
        token.display(),
        port.address(),
        backends.join(", ")
    );
    let steadfast = Steadfast::start(port, &yaml).await;
    let configuration = folder.path().join("schemathesis.toml");
    // 413 for a body that is too large is as good a refusal as any.
    let expected = r#"["400", "401", "403", "404", "405", "406", "409", "413", "415", "421", "422"]"#;
    let text = format!("[checks.negative_data_rejection]\nexpected-statuses = {expected}\n");
    std::fs::write(&configuration, text).unwrap();
    let output = Command::new(schemathesis())
        .arg("--config-file")
        .arg(&configuration)
        .args(["run", &format!("http://{}/v1/openapi.json", admin.address())])
        .args(["-H", &format!("Authorization: Bearer {TOKEN}")])
        // Another process would take over, and this test would lose sight of it.
        .args(["--exclude-operation-id", "upgrade"])
        .args(["--checks", "all", "--max-examples", EXAMPLES, "--seed", SEED])
        .env("NO_COLOR", "1")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("27 selected"), "every path is tried: {said}");
    let log = steadfast.said();
    assert!(!log.contains("panicked") && !log.contains("SECRET"), "{log}");
    eventually("the balancer still serves", async || {
        let status = reqwest::Client::new().get(format!("http://{}/healthz", admin.address())).send().await;
        status.ok()?.status().is_success().then_some(())
    })
    .await;
}
