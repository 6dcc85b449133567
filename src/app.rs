//! The builder: configuration → snapshot → bound listeners → running server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use pingora::proxy::HttpProxy;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::services::background::{BackgroundService, GenBackgroundService};
use tokio::sync::watch;

use crate::admin::{AdminApp, AdminService, AdminSocket, Guard, ListenerHandle, Parts};
use crate::clock::Now;
use crate::config::checked::AdminListen;
use crate::config::{self, Checked};
use crate::error::Error;
use crate::hooks::{Chain, Hook};
use crate::l7::Proxy;
use crate::lifecycle::{
    Asked, BoundListener, Control, ControlService, DiscoveryService, Estate, Giver, HealthService, Heirloom,
    Inheritance, Manner, PidFile, SOCKET_VARIABLE, SharingService, Start, Stop, Stopper, Upgrader, bounds,
    connect, first_answers, tell_predecessor, wait_for_drain,
};
use crate::listen::{Acceptance, BindError, Counts, Door, HttpListeners, ListenerFacts, bind};
use crate::names::ListenerName;
use crate::snapshot::{Current, Secrets};
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
    /// Whether it takes over from the process that serves.
    upgrades: bool,
}

impl Steadfast {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// Every problem of the file, each with its position.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let checked = config::load(path).inspect_err(|problems| tell_predecessor(problems))?;
        Ok(Self { source: Some(path.to_owned()), ..Self::from_checked(checked) })
    }

    /// Takes a configuration that was checked already.
    pub fn from_checked(checked: Checked) -> Self {
        Self { checked, hooks: Chain::default(), source: None, upgrades: false }
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
        self.bind_with(None)
    }

    /// The same, going on where another process was.
    fn bind_with(self, mut inherited: Option<Inheritance>) -> Result<Bound, Error> {
        let secrets = Secrets::open(&self.checked)?;
        let conf = server_conf(&self.checked);
        let pid_file = self.checked.server.pid_file.clone();
        let state_dir = self.checked.state_dir.clone();
        let upgrade_sock = upgrade_sock(&self.checked);
        let sockets = self
            .checked
            .listeners
            .iter()
            .map(|listener| {
                let address = listener.address.to_string();
                let inherited = inherited.as_mut().and_then(|it| it.socket(&listener.name, &address));
                let socket = inherited.map(std::net::TcpListener::from);
                Ok((socket.map_or_else(|| bind(listener.address), Ok)?, listener.clone()))
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let admin_listen = self.checked.admin.as_ref().map(|admin| admin.listen.clone());
        let admin = admin_listen
            .map(|listen| Ok::<_, Error>((admin_socket(&listen, &mut inherited)?, listen)))
            .transpose()?;
        let now = Now::read();
        let world = inherited.as_ref().map(Inheritance::world).unwrap_or_default();
        let start = Start::new(self.checked, secrets, world, now);
        let snapshot = start.compile(now);
        if let Some(inherited) = &mut inherited {
            inherited.enter(&snapshot, now);
        }
        let current = Arc::new(Current::new(snapshot));
        // Before the first request, so that it finds the sessions of the last run.
        let keeper = Arc::new(Keeper::start(&state_dir, current.load().kept()));
        let counts = Arc::new(telemetry::Counts::default());
        let proxy = Proxy::new(Arc::clone(&current), self.hooks, Arc::clone(&counts));
        let mut proxy = HttpProxy::new(proxy, Arc::new(server_conf_copy(&conf)));
        proxy.handle_init_modules();
        let proxy = Arc::new(proxy);
        let doors = sockets.into_iter().enumerate().map(|(index, (socket, listener))| {
            let facts =
                ListenerFacts { name: listener.name.clone(), index, acceptance: Acceptance::default() };
            let door = Door::new(Arc::clone(&proxy), Arc::new(facts), bounds(&listener), Arc::default());
            (socket, listener.address, Arc::new(door))
        });
        let (mut listeners, mut bound) = (Vec::new(), Vec::new());
        for (socket, address, door) in doors {
            let (name, bounds) = (door.facts().name.clone(), Arc::clone(door.bounds()));
            bound.push(BoundListener { name, address, bounds });
            listeners.push((socket, door));
        }
        let (control, changed) =
            Control::new(self.source, Arc::clone(&current), Arc::clone(&keeper), bound, start);
        let control = Arc::new(control);
        first_answers(&control);
        Ok(Bound {
            doors: listeners,
            current,
            counts,
            keeper,
            conf,
            pid_file,
            control,
            changed,
            upgrade_sock,
            inherited,
            asked: None,
            admin,
        })
    }

    /// Runs until SIGTERM, SIGQUIT (running requests finish) or SIGINT (at once). SIGHUP reloads the file, SIGUSR2
    /// lets a new process take over. A process that was started for that goes on where the old one was.
    ///
    /// # Errors
    /// It could not be started.
    pub fn run(self) -> Result<(), Error> {
        let cannot = |source| Error::System { what: "cannot listen to SIGHUP and SIGUSR2", source };
        let asked = Asked::hear().map_err(cannot)?;
        let inherited = inheritance(self.upgrades, &self.checked);
        let bound = self.bind_with(inherited).inspect_err(|error| tell_predecessor(error))?;
        Bound { asked: Some(asked), ..bound }.run()
    }

    /// Takes over from the process that serves with this configuration, if there is one.
    #[must_use]
    pub fn upgrade(mut self) -> Self {
        self.upgrades = true;
        self
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
    control: Arc<Control>,
    changed: watch::Receiver<()>,
    upgrade_sock: PathBuf,
    inherited: Option<Inheritance>,
    asked: Option<Asked>,
    admin: Option<(AdminSocket, AdminListen)>,
}

impl Bound {
    /// Where each listener listens; tells the port where the configuration has 0.
    pub fn addresses(&self) -> Vec<(ListenerName, SocketAddr)> {
        let address = |(socket, door): &(std::net::TcpListener, Arc<Door<HttpProxy<Proxy>>>)| {
            Some((door.facts().name.clone(), socket.local_addr().ok()?))
        };
        self.doors.iter().filter_map(address).collect()
    }

    /// Where the admin API listens, if it does so on an IP address.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref()?.0.address()
    }

    /// The snapshot in force.
    pub fn current(&self) -> &Arc<Current> {
        &self.current
    }

    /// What changes the configuration in force.
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Counts of requests by reason.
    pub fn counts(&self) -> &Arc<telemetry::Counts> {
        &self.counts
    }

    /// Runs until SIGTERM, SIGQUIT (running requests finish) or SIGINT (at once). SIGHUP reloads the file, SIGUSR2
    /// lets a new process take over.
    ///
    /// # Errors
    /// The server could not be started.
    pub fn run(mut self) -> Result<(), Error> {
        let pid_file = self.pid_file.take();
        let upgrade_sock = std::mem::take(&mut self.upgrade_sock);
        for (name, address) in self.addresses() {
            log::info!("listener {name} on {address}");
        }
        if let Some((admin, _)) = &self.admin {
            log::info!("admin API on {admin}");
        }
        let inherited = self.inherited.take();
        let (run, _stopper) = self.start(true)?;
        run.wait_until_started();
        let cannot = |source| Error::System { what: "cannot write server.pid_file", source };
        let fail = |error: &Error| inherited.as_ref().into_iter().for_each(|it| it.fail(error));
        let pid_file = pid_file.as_deref().map(PidFile::write).transpose().map_err(cannot);
        let _pid_file = pid_file.inspect_err(fail)?;
        if let Some(inherited) = inherited {
            inherited.ready();
        }
        run.wait_for_successors(&upgrade_sock);
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

    /// The admin API, if there is to be one.
    fn admin(&mut self) -> Option<AdminService> {
        let (socket, listen) = self.admin.take()?;
        let listener = |(socket, door): &(std::net::TcpListener, Arc<Door<HttpProxy<Proxy>>>)| {
            let (name, counts) = (door.facts().name.clone(), Arc::clone(door.counts()));
            Some(ListenerHandle { name, address: socket.local_addr().ok()?, counts })
        };
        let parts = Parts {
            current: Arc::clone(&self.current),
            control: Arc::clone(&self.control),
            counts: Arc::clone(&self.counts),
            listeners: self.doors.iter().filter_map(listener).collect(),
        };
        let guard = Guard::new(socket.address());
        Some(AdminService::new(socket, &listen, Arc::new(AdminApp::new(parts, guard))))
    }

    fn start(mut self, signals: bool) -> Result<(Run, Stopper), Error> {
        let grace = Duration::from_secs(self.conf.grace_period_seconds.unwrap_or(0));
        let threads = self.conf.threads;
        let admin = self.admin();
        let counts = self.doors.iter().map(|(_, door)| Arc::clone(door.counts())).collect();
        let cannot = |source| Error::System { what: "cannot listen to SIGHUP and SIGUSR2", source };
        let asked = match (signals, self.asked) {
            (false, _) => None,
            (true, Some(asked)) => Some(asked),
            (true, None) => Some(Asked::hear().map_err(cannot)?),
        };
        let addresses = self.control.addresses();
        let heirlooms = self.doors.iter().zip(addresses).filter_map(|((socket, door), address)| {
            let (address, socket) = (address.to_string(), socket.try_clone().ok()?.into());
            Some(Heirloom { address, socket, facts: Arc::clone(door.facts()) })
        });
        let heirlooms = heirlooms.chain(admin.as_ref().and_then(AdminService::heirloom));
        let (stop, stopper, said) = Stop::new(signals);
        let estate = Estate {
            sockets: heirlooms.collect(),
            control: Arc::clone(&self.control),
            current: Arc::clone(&self.current),
            keeper: self.keeper,
            retire: stop.sayer(),
        };
        let (tell, started) = mpsc::channel();
        let conf = ServerConf { grace_period_seconds: Some(NEVER_S), ..self.conf };
        let mut server = Server::new_with_opt_and_conf(None, conf);
        server.bootstrap();
        let listeners = HttpListeners::new(self.doors, threads);
        let listeners = listeners.when_started(move || {
            // Whoever embeds us does not wait for the word.
            let _ = tell.send(());
        });
        server.add_service(listeners);
        let (ends, ended) = watch::channel(());
        let (current, changed) = (Arc::clone(&self.current), self.changed.clone());
        server.add_service(background("share", SharingService { current, changed, ended }));
        if let Some(admin) = admin {
            server.add_service(admin);
        }
        let health = HealthService { current: self.current, changed: self.changed.clone() };
        server.add_service(background("health", health));
        let (control, changed) = (Arc::clone(&self.control), self.changed.clone());
        server.add_service(background("discovery", DiscoveryService { control, changed }));
        server.add_service(background("control", ControlService::new(self.control, asked)));
        // Pingora sleeps its whole grace period; nobody waits for that thread.
        let run = move || server.run(RunArgs { shutdown_signal: Box::new(stop) });
        let thread = std::thread::Builder::new().name("pingora".to_owned()).spawn(run);
        thread.map_err(|source| Error::System { what: "cannot start a thread", source })?;
        Ok((Run { said, started, counts, grace, estate: Arc::new(estate), ends }, stopper))
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
    said: watch::Receiver<Option<Manner>>,
    started: mpsc::Receiver<()>,
    counts: Vec<Arc<Counts>>,
    grace: Duration,
    estate: Arc<Estate>,
    /// Dropped when the last request has ended.
    ends: watch::Sender<()>,
}

impl Run {
    fn wait_until_started(&self) {
        // An error: the server has ended before it began, which `wait` will notice.
        let _ = self.started.recv();
    }

    /// From now on, another process may take over.
    fn wait_for_successors(&self, path: &Path) {
        let upgrader = Giver::listen(path, Arc::clone(&self.estate)).and_then(Upgrader::new);
        match upgrader {
            Ok(upgrader) => self.estate.control.upgrade_by(upgrader),
            Err(error) => log::warn!(
                "no other process can take over from this one: {}: {error}; set `server.upgrade_sock` to a path of \
                 at most 100 bytes in a folder that this user may write to",
                path.display()
            ),
        }
    }

    fn wait(self) {
        wait_for_drain(&self.said, &self.counts, self.grace);
        self.estate.keeper.stop();
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

/// Pingora's own grace period: longer than any process lives. When one ends, so do the threads of its runtimes, and threads
/// that are started later find handles of the dead runtimes in their place (`pingora_runtime` keeps them by thread
/// ids, which are reused): another balancer in the same program would drop its connections. Ours is kept by
/// [`wait_for_drain`], and the process that then ends takes the threads with it.
const NEVER_S: u64 = 10 * 365 * 24 * 3600;

/// Tries of one request are counted by its pool; this only bounds them all.
const MAX_TRIES: usize = 16;

/// The admin API's socket: the one of the process before, if that listened at the same place.
fn admin_socket(listen: &AdminListen, inherited: &mut Option<Inheritance>) -> Result<AdminSocket, BindError> {
    let heirloom = inherited
        .as_mut()
        .and_then(|it| it.socket(&ListenerName::new(AdminSocket::NAME), &listen.to_string()));
    match heirloom {
        Some(socket) => Ok(AdminSocket::inherited(listen, socket)),
        None => AdminSocket::bind(listen),
    }
}

/// What the process has left that this one was started to succeed, if any.
fn inheritance(upgrades: bool, checked: &Checked) -> Option<Inheritance> {
    let told = std::env::var_os(SOCKET_VARIABLE).map(PathBuf::from);
    let path = told.or_else(|| upgrades.then(|| upgrade_sock(checked)))?;
    match connect(&path) {
        Ok(inherited) => Some(inherited),
        Err(error) => {
            // It may have died in the middle; then somebody has to serve.
            log::warn!("nothing to take over at {}: {error}; starting afresh", path.display());
            None
        }
    }
}

fn upgrade_sock(checked: &Checked) -> PathBuf {
    checked.server.upgrade_sock.clone().unwrap_or_else(|| checked.state_dir.join("upgrade.sock"))
}

fn server_conf(checked: &Checked) -> ServerConf {
    let server = &checked.server;
    let text = |path: &PathBuf| path.display().to_string();
    let state = |name: &str| text(&checked.state_dir.join(name));
    ServerConf {
        threads: server.threads,
        work_stealing: server.work_stealing,
        // Pingora writes it only as a daemon, which we never are: a service manager watches us.
        pid_file: state("pingora.pid"),
        // Not used: our own hand-over is.
        upgrade_sock: state("pingora.sock"),
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
