//! Steadfast in this process, at layer 4.

use std::net::SocketAddr;
use std::sync::Arc;

use steadfast::clock::Now;
use steadfast::lifecycle::Control;
use steadfast::listen::Counts;
use steadfast::snapshot::Current;
use steadfast::{Running, Steadfast, telemetry};
use tempfile::TempDir;

use super::balancer::{SHARED, checked};
use super::tcp::Echo;

/// A running balancer with one listener; stopped when dropped.
pub(crate) struct Layer4 {
    pub(crate) address: SocketAddr,
    pub(crate) control: Arc<Control>,
    pub(crate) current: Arc<Current>,
    /// What each listener counts.
    pub(crate) listeners: Vec<Arc<Counts>>,
    /// Connections by reason.
    pub(crate) counts: Arc<telemetry::Counts>,
    running: Option<Running>,
    folder: Arc<TempDir>,
}

impl Layer4 {
    /// Starts it with a whole configuration.
    pub(crate) fn start(text: &str) -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()), text)
    }

    /// Starts another one where this one was.
    pub(crate) fn again(&self, text: &str) -> Self {
        Self::start_in(Arc::clone(&self.folder), text)
    }

    fn start_in(folder: Arc<TempDir>, text: &str) -> Self {
        let bound = Steadfast::from_checked(checked(text, folder.path())).bind().unwrap();
        let address = bound.addresses()[0].1;
        let (control, current) = (Arc::clone(bound.control()), Arc::clone(bound.current()));
        let counts = Arc::clone(bound.counts());
        let listeners = bound.listener_counts();
        Self { listeners, address, control, current, counts, running: Some(bound.spawn().unwrap()), folder }
    }

    /// Puts another configuration in force.
    pub(crate) fn reload(&self, text: &str) {
        self.control.put_in_force(checked(text, self.folder.path())).unwrap();
    }

    /// The session book of its pool.
    pub(crate) fn sessions(&self) -> telemetry::Report {
        self.current.load().pools[0].sessions(Now::read())
    }

    /// Stops it, and waits until it has.
    pub(crate) fn stop(&mut self) {
        self.running.take().unwrap().stop();
    }
}

/// A configuration with a TCP listener before these backends; `weights` says those that are not 1.
pub(crate) fn tcp(backends: &[&Echo], weights: &[(&str, u16)], listener: &str, pool: &str) -> String {
    let backend = |echo: &&Echo| {
        let weight = weights.iter().find(|(name, _)| *name == echo.name).map_or(1, |(_, weight)| *weight);
        format!("{{ id: {}, address: \"{}\", weight: {weight} }}", echo.name, echo.address())
    };
    let backends: Vec<_> = backends.iter().map(backend).collect();
    format!(
        "version: 1\nstate_dir: state\n{SHARED}listeners:\n  - name: tcp\n    protocol: tcp\n    address: 127.0.0.1:0\n    pool: \
         app\n{listener}pools:\n  app:\n    backends: [ {} ]\n{pool}",
        backends.join(", ")
    )
}
