//! The builder: configuration → snapshot → bound listeners → running server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pingora::proxy::HttpProxy;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::services::background::{BackgroundService, GenBackgroundService};
use tokio::signal::unix::Signal;
use tokio::sync::watch;

use crate::config::{self, Checked};
use crate::error::Error;
use crate::hooks::{Chain, Hook};
use crate::l7::Proxy;
use crate::lifecycle::{
    BoundListener, HealthService, PidFile, ReloadService, Reloader, SharingService, Stop, Stopper, bounds,
    hear_hangups, wait_for_drain,
};
use crate::listen::{Counts, Door, HttpListeners, ListenerFacts, bind};
use crate::names::ListenerName;
use crate::snapshot::{Current, Secrets, Snapshot};
use crate::store::Keeper;
use crate::telemetry;

/// A balancer that is being put together.
///
/// ```no_run
/// # fn main() -> Result<(), steadfast::Error> {
/// steadfast::Steadfast::from_file("conf/tomcat.yaml")?.run()
/// # }
/// ```
#[derive(Debug)]
pub struct Steadfast {
    checked: Checked,
    hooks: Chain,
    /// The file to reload from.
    source: Option<PathBuf>,
}

impl Steadfast {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// Every problem of the file, each with its position.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        Ok(Self { source: Some(path.to_owned()), ..Self::from_checked(config::load(path)?) })
    }

    /// Takes a configuration that was checked already.
    pub fn from_checked(checked: Checked) -> Self {
        Self { checked, hooks: Chain::default(), source: None }
    }

    /// Adds a hook behind those added before.
    #[must_use]
    pub fn hook(mut self, hook: impl Hook) -> Self {
        self.hooks.add(hook);
        self
    }

    /// Compiles the snapshot and binds every listener.
    ///
    /// # Errors
    /// A secret cannot be read or made, or an address cannot be bound.
    pub fn bind(self) -> Result<Bound, Error> {
        let secrets = Secrets::open(&self.checked)?;
        let conf = server_conf(&self.checked);
        let pid_file = self.checked.server.pid_file.clone();
        let state_dir = self.checked.state_dir.clone();
        let sockets = self
            .checked
            .listeners
            .iter()
            .map(|listener| Ok((bind(listener.address)?, listener.clone())))
            .collect::<Result<Vec<_>, Error>>()?;
        let current = Arc::new(Current::new(Snapshot::compile(self.checked, secrets, None)));
        // Before the first request, so that it finds the sessions of the last run.
        let keeper = Arc::new(Keeper::start(&state_dir, current.load().kept()));
        let counts = Arc::new(telemetry::Counts::default());
        let proxy = Proxy::new(Arc::clone(&current), self.hooks, Arc::clone(&counts));
        let mut proxy = HttpProxy::new(proxy, Arc::new(server_conf_copy(&conf)));
        proxy.handle_init_modules();
        let proxy = Arc::new(proxy);
        let doors = sockets.into_iter().enumerate().map(|(index, (socket, listener))| {
            let facts = ListenerFacts { name: listener.name.clone(), index };
            let door = Door::new(Arc::clone(&proxy), Arc::new(facts), bounds(&listener), Arc::default());
            (socket, listener.address, Arc::new(door))
        });
        let (mut listeners, mut bound) = (Vec::new(), Vec::new());
        for (socket, address, door) in doors {
            let (name, bounds) = (door.facts().name.clone(), Arc::clone(door.bounds()));
            bound.push(BoundListener { name, address, bounds });
            listeners.push((socket, door));
        }
        let threads = conf.threads;
        let reloader = self
            .source
            .map(|source| Reloader::new(source, Arc::clone(&current), Arc::clone(&keeper), bound, threads));
        Ok(Bound { doors: listeners, current, counts, keeper, conf, pid_file, reloader, hangups: None })
    }

    /// Runs until SIGTERM, SIGQUIT (running requests finish) or SIGINT (at once). SIGHUP reloads the file.
    ///
    /// # Errors
    /// It could not be started.
    pub fn run(self) -> Result<(), Error> {
        let cannot = |source| Error::System { what: "cannot listen to SIGHUP", source };
        let hangups = hear_hangups().map_err(cannot)?;
        Bound { hangups: Some(hangups), ..self.bind()? }.run()
    }
}

type Doors = Vec<(std::net::TcpListener, Arc<Door<HttpProxy<Proxy>>>)>;

/// A balancer whose listeners are bound, but do not accept yet.
pub struct Bound {
    doors: Doors,
    current: Arc<Current>,
    counts: Arc<telemetry::Counts>,
    keeper: Arc<Keeper>,
    conf: ServerConf,
    pid_file: Option<PathBuf>,
    reloader: Option<(Reloader, watch::Receiver<()>)>,
    hangups: Option<Signal>,
}

impl Bound {
    /// Where each listener listens; tells the port where the configuration has 0.
    pub fn addresses(&self) -> Vec<(ListenerName, SocketAddr)> {
        let address = |(socket, door): &(std::net::TcpListener, Arc<Door<HttpProxy<Proxy>>>)| {
            Some((door.facts().name.clone(), socket.local_addr().ok()?))
        };
        self.doors.iter().filter_map(address).collect()
    }

    /// The snapshot in force.
    pub fn current(&self) -> &Arc<Current> {
        &self.current
    }

    /// Counts of requests by reason.
    pub fn counts(&self) -> &Arc<telemetry::Counts> {
        &self.counts
    }

    /// Runs until SIGTERM, SIGQUIT (running requests finish) or SIGINT (at once). SIGHUP reloads the file.
    ///
    /// # Errors
    /// The server could not be started.
    pub fn run(self) -> Result<(), Error> {
        let cannot = |source| Error::System { what: "cannot write server.pid_file", source };
        let _pid_file = self.pid_file.as_deref().map(PidFile::write).transpose().map_err(cannot)?;
        for (name, address) in self.addresses() {
            log::info!("listener {name} on {address}");
        }
        let (run, _stopper) = self.start(true)?;
        run.wait();
        Ok(())
    }

    /// Runs beside the program that embeds it, until the result is stopped or dropped. Leaves signals alone.
    ///
    /// # Errors
    /// The server could not be started.
    pub fn spawn(self) -> Result<Running, Error> {
        let (run, stopper) = self.start(false)?;
        let waiter = std::thread::Builder::new().name("steadfast".to_owned()).spawn(move || run.wait());
        let waiter = waiter.map_err(|source| Error::System { what: "cannot start a thread", source })?;
        Ok(Running { stopper: Some(stopper), waiter: Some(waiter) })
    }

    fn start(self, signals: bool) -> Result<(Run, Stopper), Error> {
        let grace = Duration::from_secs(self.conf.grace_period_seconds.unwrap_or(0));
        let threads = self.conf.threads;
        let counts = self.doors.iter().map(|(_, door)| Arc::clone(door.counts())).collect();
        let mut server = Server::new_with_opt_and_conf(None, self.conf);
        server.bootstrap();
        server.add_service(HttpListeners::new(self.doors, threads));
        let (reloader, changed) = self.reloader.unzip();
        let (ends, ended) = watch::channel(());
        let sharing = SharingService { current: Arc::clone(&self.current), changed: changed.clone(), ended };
        server.add_service(background("share", sharing));
        server.add_service(background("health", HealthService { current: self.current, changed }));
        if signals && let Some(reloader) = reloader {
            let cannot = |source| Error::System { what: "cannot listen to SIGHUP", source };
            let hangups = self.hangups.map_or_else(hear_hangups, Ok).map_err(cannot)?;
            server.add_service(background("reload", ReloadService::new(reloader, hangups)));
        }
        let (stop, stopper, said) = Stop::new(signals);
        // Pingora sleeps its whole grace period; nobody waits for that thread.
        let run = move || server.run(RunArgs { shutdown_signal: Box::new(stop) });
        let thread = std::thread::Builder::new().name("pingora".to_owned()).spawn(run);
        thread.map_err(|source| Error::System { what: "cannot start a thread", source })?;
        Ok((Run { said, counts, grace, keeper: self.keeper, ends }, stopper))
    }
}

/// A service beside the listeners, on one thread of its own.
fn background<S: BackgroundService + Send + Sync + 'static>(
    name: &str,
    service: S,
) -> GenBackgroundService<S> {
    let mut service = GenBackgroundService::new(name.to_owned(), Arc::new(service));
    service.threads = Some(1);
    service
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bound").field("addresses", &self.addresses()).finish_non_exhaustive()
    }
}

struct Run {
    said: watch::Receiver<Option<crate::lifecycle::Manner>>,
    counts: Vec<Arc<Counts>>,
    grace: Duration,
    keeper: Arc<Keeper>,
    /// Dropped when the last request has ended.
    ends: watch::Sender<()>,
}

impl Run {
    fn wait(self) {
        wait_for_drain(&self.said, &self.counts, self.grace);
        // Services that Pingora still runs may hold the keeper, too: not by dropping it, which might do nothing.
        self.keeper.stop();
        drop(self.ends);
    }
}

/// A running balancer; stops when dropped.
#[derive(Debug)]
pub struct Running {
    stopper: Option<Stopper>,
    waiter: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    /// Stops it: running requests finish within the grace period.
    pub fn stop(mut self) {
        self.stopper = None;
        if let Some(waiter) = self.waiter.take() {
            let _ = waiter.join();
        }
    }
}

/// Tries of one request are counted by its pool; this only bounds them all.
const MAX_TRIES: usize = 16;

fn server_conf(checked: &Checked) -> ServerConf {
    let server = &checked.server;
    let text = |path: &PathBuf| path.display().to_string();
    let state = |name: &str| text(&checked.state_dir.join(name));
    ServerConf {
        threads: server.threads,
        work_stealing: server.work_stealing,
        // Pingora writes it only as a daemon, which we never are: a service manager watches us.
        pid_file: state("pingora.pid"),
        upgrade_sock: server.upgrade_sock.as_ref().map_or_else(|| state("upgrade.sock"), text),
        grace_period_seconds: Some(server.grace_period_seconds),
        graceful_shutdown_timeout_seconds: Some(server.graceful_shutdown_timeout_seconds),
        upstream_keepalive_pool_size: server.upstream_keepalive_pool_size,
        ca_file: server.ca_file.as_ref().map(text),
        max_retries: MAX_TRIES,
        ..ServerConf::default()
    }
}

/// Pingora's settings cannot be cloned; these are the ones that its connector reads.
fn server_conf_copy(conf: &ServerConf) -> ServerConf {
    ServerConf {
        threads: conf.threads,
        upstream_keepalive_pool_size: conf.upstream_keepalive_pool_size,
        ca_file: conf.ca_file.clone(),
        max_retries: conf.max_retries,
        ..ServerConf::default()
    }
}
