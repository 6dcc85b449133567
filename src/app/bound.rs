//! A balancer whose listeners are bound: its services are put together here.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use pingora::proxy::HttpProxy;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::services::background::{BackgroundService, GenBackgroundService};
use tokio::sync::watch;

use super::running::{Files, NEVER_S, Run, Running};
use super::sockets::{Opened, heirloom_address};
use crate::admin::{AdminApp, AdminService, AdminSocket, Guard, ListenerHandle, Parts};
use crate::error::Error;
use crate::l4::{Gate, Layer4Listeners, Ties};
use crate::l7::Proxy;
use crate::lifecycle::{
    Asked, Control, ControlService, DiscoveryService, Estate, HealthService, Heirloom, Inheritance, Manner,
    PidFile, SharingService, Stop, Stopper, notify_ready,
};
use crate::listen::{Counts, Door, HttpListeners, ListenerFacts};
use crate::names::{ListenAddress, ListenerName};
use crate::pulse::{Board, Pulse, PulseService};
use crate::snapshot::Current;
use crate::store::Keeper;
use crate::telemetry;

type Doors = Vec<(TcpListener, Arc<Door<HttpProxy<Proxy>>>)>;
type Gates<S> = Vec<(S, Arc<Gate>)>;

/// A balancer whose listeners are bound, but do not accept yet.
pub struct Bound {
    pub(super) doors: Doors,
    pub(super) tcp: Gates<TcpListener>,
    pub(super) unix: Gates<UnixListener>,
    pub(super) udp: Gates<Vec<UdpSocket>>,
    pub(super) files: Files,
    pub(super) ties: Arc<Ties>,
    pub(super) current: Arc<Current>,
    pub(super) counts: Arc<telemetry::Counts>,
    pub(super) recent: Arc<telemetry::Recent>,
    pub(super) events: Arc<telemetry::Events>,
    pub(super) history: Arc<telemetry::History>,
    pub(super) spans: Arc<telemetry::Spans>,
    pub(super) board: Arc<Board>,
    pub(super) keeper: Arc<Keeper>,
    pub(super) conf: ServerConf,
    pub(super) stop_delay: Duration,
    pub(super) pid_file: Option<PathBuf>,
    pub(super) control: Arc<Control>,
    pub(super) changed: watch::Receiver<()>,
    pub(super) upgrade_sock: PathBuf,
    pub(super) inherited: Option<Inheritance>,
    pub(super) asked: Option<Asked>,
    pub(super) admin: Option<(AdminSocket, ListenAddress)>,
}

impl Bound {
    /// Where each listener listens that does so on an IP address, those of HTTP first; tells the port where the configuration
    /// has 0.
    pub fn addresses(&self) -> Vec<(ListenerName, SocketAddr)> {
        self.listeners()
            .filter_map(|(opened, facts, _)| Some((facts.name.clone(), opened.address()?.ip()?)))
            .collect()
    }

    /// All listeners, each with its sockets, and what is known and counted of it.
    fn listeners(&self) -> impl Iterator<Item = (Opened<'_>, &Arc<ListenerFacts>, &Arc<Counts>)> {
        let doors =
            self.doors.iter().map(|(socket, door)| (Opened::Tcp(socket), door.facts(), door.counts()));
        let tcp = self.tcp.iter().map(|(socket, gate)| (Opened::Tcp(socket), &gate.facts, &gate.counts));
        let unix = self.unix.iter().map(|(socket, gate)| (Opened::Unix(socket), &gate.facts, &gate.counts));
        let udp = self.udp.iter().map(|(sockets, gate)| (Opened::Udp(sockets), &gate.facts, &gate.counts));
        doors.chain(tcp).chain(udp).chain(unix)
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

    /// What each listener counts, in the order of [`Self::addresses`]; behind those, the others.
    pub fn listener_counts(&self) -> Vec<Arc<Counts>> {
        self.listeners().map(|(.., counts)| Arc::clone(counts)).collect()
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
        let pid_file = self.pid_file.clone();
        let upgrade_sock = std::mem::take(&mut self.upgrade_sock);
        for (opened, facts, _) in self.listeners() {
            if let Some(address) = opened.address() {
                log::info!("listener {} on {address}", facts.name);
            }
        }
        if let Some((admin, _)) = &self.admin {
            log::info!("admin API on {admin}");
        }
        let inherited = self.inherited.take();
        let listeners: Vec<_> = self.listeners().map(|(_, facts, _)| Arc::clone(facts)).collect();
        let (run, _stopper) = self.start(true)?;
        run.wait_until_started();
        let cannot = |source| Error::System { what: "cannot write server.pid_file", source };
        let fail = |error: &Error| inherited.as_ref().into_iter().for_each(|it| it.fail(error));
        let pid_file = pid_file.as_deref().map(PidFile::write).transpose().map_err(cannot);
        let _pid_file = pid_file.inspect_err(fail)?;
        let took_over = inherited.is_some();
        let predecessor = inherited.and_then(|it| it.ready(listeners));
        notify_ready(took_over);
        run.wait_for_successors(&upgrade_sock);
        run.wait(predecessor);
        Ok(())
    }

    /// Runs beside the program that embeds it, until the result is stopped or dropped. Leaves signals alone.
    ///
    /// # Errors
    /// The server could not be started.
    pub fn spawn(self) -> Result<Running, Error> {
        let (run, stopper) = self.start(false)?;
        let waiter = std::thread::Builder::new().name("steadfast".to_owned()).spawn(move || run.wait(None));
        let waiter = waiter.map_err(|source| Error::System { what: "cannot start a thread", source })?;
        Ok(Running { stopper: Some(stopper), waiter: Some(waiter) })
    }

    /// The admin API, if there is to be one.
    fn admin(&mut self, said: watch::Receiver<Option<Manner>>) -> Option<AdminService> {
        let (socket, listen) = self.admin.take()?;
        let listener = |(opened, facts, counts): (Opened<'_>, &Arc<ListenerFacts>, &Arc<Counts>)| {
            let (name, facts, counts) = (facts.name.clone(), Arc::clone(facts), Arc::clone(counts));
            Some(ListenerHandle { name, address: opened.address()?, counts, facts })
        };
        let parts = Parts {
            current: Arc::clone(&self.current),
            control: Arc::clone(&self.control),
            counts: Arc::clone(&self.counts),
            recent: Arc::clone(&self.recent),
            events: Arc::clone(&self.events),
            history: Arc::clone(&self.history),
            spans: Arc::clone(&self.spans),
            board: Arc::clone(&self.board),
            listeners: self.listeners().filter_map(listener).collect(),
            said,
        };
        let guard = Guard::new(socket.address());
        Some(AdminService::new(socket, &listen, Arc::new(AdminApp::new(parts, guard))))
    }

    /// A second descriptor of each of a listener's sockets.
    fn heirlooms(&self, opened: &Opened<'_>, facts: &Arc<ListenerFacts>) -> Vec<Heirloom> {
        let Some(address) = self.control.address(&facts.name) else { return Vec::new() };
        let address = heirloom_address(&address, opened.is_udp());
        let heirloom = |socket: BorrowedFd<'_>| {
            let socket = socket.try_clone_to_owned().ok()?;
            Some(Heirloom { address: address.clone(), socket, facts: Arc::clone(facts) })
        };
        opened.descriptors().into_iter().filter_map(heirloom).collect()
    }

    fn start(mut self, signals: bool) -> Result<(Run, Stopper), Error> {
        let grace = Duration::from_secs(self.conf.grace_period_seconds.unwrap_or(0));
        let threads = self.conf.threads;
        let (stop, stopper, said) = Stop::new(signals, self.stop_delay);
        let admin = self.admin(said.clone());
        let counts = self.listeners().map(|(.., counts)| Arc::clone(counts)).collect();
        let cannot = |source| Error::System { what: "cannot listen to SIGHUP and SIGUSR2", source };
        let heirlooms: Vec<_> = self
            .listeners()
            .flat_map(|(opened, facts, _)| self.heirlooms(&opened, facts))
            .chain(admin.as_ref().and_then(AdminService::heirloom))
            .collect();
        let asked = match (signals, self.asked) {
            (false, _) => None,
            (true, Some(asked)) => Some(asked),
            (true, None) => Some(Asked::hear().map_err(cannot)?),
        };
        let estate = Estate {
            sockets: heirlooms,
            control: Arc::clone(&self.control),
            current: Arc::clone(&self.current),
            keeper: self.keeper,
            pid_file: self.pid_file.filter(|_| signals),
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
        if !self.tcp.is_empty() || !self.unix.is_empty() || !self.udp.is_empty() {
            let (tcp, unix, udp, ties) = (self.tcp, self.unix, self.udp, self.ties);
            let current = Arc::clone(&self.current);
            server.add_service(Layer4Listeners { tcp, unix, udp, ties, current, threads });
        }
        let (ends, ended) = watch::channel(());
        let (current, changed) = (Arc::clone(&self.current), self.changed.clone());
        let sharing = SharingService { current, changed, ended: ended.clone() };
        server.add_service(background("share", sharing));
        if let Some(admin) = admin {
            server.add_service(admin);
        }
        let pulse = Pulse {
            current: Arc::clone(&self.current),
            control: Arc::clone(&self.control),
            recent: self.recent,
            events: self.events,
            history: self.history,
            board: self.board,
            spans: Arc::clone(&self.spans),
            ended: ended.clone(),
        };
        server.add_service(background("pulse", PulseService(pulse)));
        let health = HealthService { current: self.current, changed: self.changed.clone() };
        server.add_service(background("health", health));
        let (control, changed) = (Arc::clone(&self.control), self.changed.clone());
        server.add_service(background("discovery", DiscoveryService { control, changed }));
        server.add_service(background("control", ControlService::new(self.control, asked)));
        // Pingora sleeps its whole grace period; nobody waits for that thread.
        let run = move || server.run(RunArgs { shutdown_signal: Box::new(stop) });
        let thread = std::thread::Builder::new().name("pingora".to_owned()).spawn(run);
        thread.map_err(|source| Error::System { what: "cannot start a thread", source })?;
        let (files, spans, estate) = (self.files, self.spans, Arc::new(estate));
        let run = Run { said, started, counts, files, grace, estate, spans, ends };
        Ok((run, stopper))
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
