//! Steadfast in this process, before applications of this process.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use steadfast::clock::Now;
use steadfast::lifecycle::{Control, Plan};
use steadfast::snapshot::Current;
use steadfast::{Running, Steadfast, config, telemetry};
use tempfile::TempDir;

use super::app::App;

/// Keys and seed that replicas share.
pub(crate) const SHARED: &str = "keys: [ { id: a, value: \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\" } ]\naffinity_seed: { value: 0123456789abcdef0123 }\n";

/// A running balancer; stopped when dropped.
pub(crate) struct Balancer {
    pub(crate) address: SocketAddr,
    pub(crate) control: Arc<Control>,
    /// The snapshot in force.
    pub(crate) current: Arc<Current>,
    _running: Running,
    folder: TempDir,
}

impl Balancer {
    /// Starts it before `apps`, with lines of YAML for the top level, the listener and the pool.
    pub(crate) fn start(apps: &[App], top: &str, listener: &str, pool: &str) -> Self {
        Self::configured(&configuration(apps, top, listener, pool))
    }

    /// Starts it with a whole configuration.
    pub(crate) fn configured(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let checked = checked(text, folder.path());
        let bound = Steadfast::from_checked(checked).bind().unwrap();
        let address = bound.addresses()[0].1;
        let (control, current) = (Arc::clone(bound.control()), Arc::clone(bound.current()));
        Self { address, control, current, _running: bound.spawn().unwrap(), folder }
    }

    /// The folder that relative paths begin at.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The session book of its pool.
    pub(crate) fn sessions(&self) -> telemetry::Report {
        self.current.load().pools[0].sessions(Now::read())
    }

    /// Puts another configuration of the same listener in force.
    pub(crate) fn reload(&self, apps: &[App], pool: &str) -> Plan {
        let checked = checked(&configuration(apps, SHARED, "", pool), self.folder.path());
        self.control.put_in_force(checked).unwrap()
    }

    /// Puts another whole configuration in force.
    pub(crate) fn put_in_force(&self, text: &str) -> Plan {
        self.control.put_in_force(checked(text, self.folder.path())).unwrap()
    }

    /// Starts it with what most tests need.
    pub(crate) fn plain(apps: &[App]) -> Self {
        Self::start(apps, SHARED, "", "")
    }
}

/// The configuration of a balancer before `apps`.
pub(crate) fn configuration(apps: &[App], top: &str, listener: &str, pool: &str) -> String {
    let backends: Vec<_> =
        apps.iter().map(|app| format!("{{ id: {}, address: \"{}\" }}", app.name, app.address)).collect();
    let backends = backends.join(", ");
    let pool = if pool.contains("affinity:") {
        pool.to_owned()
    } else {
        format!("    affinity: {{ application_cookie: JSESSIONID, path_parameter: jsessionid }}\n{pool}")
    };
    let routes = if listener.starts_with("    routes:") { "" } else { "    routes: [ { pool: app } ]\n" };
    format!(
        "version: 1\nstate_dir: state\n{top}listeners:\n  - name: web\n    address: 127.0.0.1:0\n{routes}{listener}\
         pools:\n  app:\n    backends: [ {backends} ]\n{pool}"
    )
}

/// Checks a configuration that must be good.
pub(crate) fn checked(text: &str, folder: &Path) -> config::Checked {
    config::parse(text, &folder.join("steadfast.yaml"))
        .unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

/// Applications app1 to appN.
pub(crate) fn apps(count: usize) -> Vec<App> {
    (1..=count).map(|n| App::start(&format!("app{n}"))).collect()
}
