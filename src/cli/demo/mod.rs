//! `steadfast demo`: three session applications, the balancer before them, and a page of what to try.

mod app;
mod page;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use super::{args, fail, print, run};
use crate::{Steadfast, config};

use app::SessionApp;

const NAMES: [&str; 3] = ["app1", "app2", "app3"];

pub(super) fn demo(args: &args::Demo) -> ExitCode {
    match start(args.port) {
        Ok(code) => code,
        Err(message) => fail(&message),
    }
}

fn start(port: u16) -> Result<ExitCode, String> {
    run::start_logger();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start the applications: {error}"))?;
    let apps: Vec<Arc<SessionApp>> = runtime.block_on(async {
        let started = NAMES.map(|name| async move { SessionApp::start(name).await.map(Arc::new) });
        let mut apps = Vec::new();
        for app in started {
            apps.push(app.await.map_err(|error| format!("cannot start an application: {error}"))?);
        }
        Ok::<_, String>(apps)
    })?;
    let control = runtime
        .block_on(app::serve_control(apps.clone()))
        .map_err(|error| format!("cannot start the control page: {error}"))?;

    let folder = std::env::temp_dir().join(format!("steadfast-demo-{}", std::process::id()));
    let backends: Vec<_> = apps.iter().map(|app| (app.name(), app.address())).collect();
    let text = configuration(port, &folder, &backends);
    let checked = config::parse(&text, Path::new("demo.yaml")).map_err(|problems| problems.to_string())?;
    let bound = Steadfast::from_checked(checked)
        .bind()
        .map_err(|error| format!("{error}\n(or start the demo elsewhere: steadfast demo --port 8081)"))?;
    let address = bound
        .addresses()
        .first()
        .map_or_else(|| SocketAddr::from(([127, 0, 0, 1], port)), |(_, address)| *address);
    let dashboard = bound.admin_address();
    print(&page::page(address, dashboard, control, &backends));
    let ended = bound.run();
    // Only keys of a demonstration.
    let _ = std::fs::remove_dir_all(&folder);
    ended.map(|()| ExitCode::SUCCESS).map_err(|error| error.to_string())
}

fn configuration(port: u16, state: &Path, backends: &[(&str, SocketAddr)]) -> String {
    let backends: String = backends
        .iter()
        .map(|(id, address)| format!("      - {{ id: {id}, address: \"{address}\" }}\n"))
        .collect();
    format!(
        "version: 1\nstate_dir: {}\nadmin: {{ listen: \"127.0.0.1:0\", dashboard: true }}\nlisteners:\n  - name: web\n    address: 127.0.0.1:{port}\n    routes: [ {{ pool: app }} ]\n\
         pools:\n  app:\n    backends:\n{backends}    affinity: {{ application_cookie: JSESSIONID, path_parameter: jsessionid }}\n    \
         health: {{ http: {{ path: /health }}, interval: 500ms, timeout: 400ms }}\n",
        state.display()
    )
}
