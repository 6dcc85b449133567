//! The builder: from a configuration to bound listeners.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use pingora::proxy::HttpProxy;

use super::bound::Bound;
use super::inherit::{admin_socket, inheritance, upgrade_sock};
use super::settings::{server_conf, server_conf_copy};
use super::sockets::Sockets;
use crate::clock::Now;
use crate::config::{self, Checked};
use crate::error::Error;
use crate::hooks::{Chain, Hook};
use crate::l4::{Gate, Ties};
use crate::l7::Proxy;
use crate::lifecycle::{
    Asked, BoundListener, Control, Inheritance, Speaks, Start, Tickets, bounds, buffers, first_answers,
    give_up_root, pages, per_client, protocols, tell_predecessor,
};
use crate::limits::ClientConnections;
use crate::listen::{Acceptance, Door, ListenerFacts, Passage};
use crate::snapshot::{Current, Logs, Secrets};
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
        let logs = Logs::open(&self.checked, &Logs::default())?;
        let conf = server_conf(&self.checked);
        let stop_delay = self.checked.server.stop_delay;
        let pid_file = self.checked.server.pid_file.clone();
        let state_dir = self.checked.state_dir.clone();
        let upgrade_sock = upgrade_sock(&self.checked);
        let sockets = self
            .checked
            .listeners
            .iter()
            .map(|listener| Ok((Sockets::open(listener, &mut inherited, conf.threads)?, listener.clone())))
            .collect::<Result<Vec<_>, Error>>()?;
        let admin_listen = self.checked.admin.as_ref().map(|admin| admin.listen.clone());
        let admin = admin_listen
            .map(|listen| Ok::<_, Error>((admin_socket(&listen, &mut inherited)?, listen)))
            .transpose()?;
        // Low ports are bound, and nothing of a client is read yet.
        let server = &self.checked.server;
        let files = sockets.iter().filter_map(|(sockets, _)| sockets.file());
        give_up_root(server.user.as_deref(), server.group.as_deref(), &state_dir, files)?;
        let secrets = Secrets::open(&self.checked)?;
        let now = Now::read();
        let world = inherited.as_ref().map(Inheritance::world).unwrap_or_default();
        let start = Start::new(self.checked, secrets, world, now);
        let snapshot = start.compile(logs, now);
        if let Some(inherited) = &mut inherited {
            inherited.enter(&snapshot, now);
        }
        let current = Arc::new(Current::new(snapshot));
        // Before the first request, so that it finds the sessions of the last run.
        let keeper = Arc::new(Keeper::start(&state_dir, current.load().kept()));
        let counts = Arc::new(telemetry::Counts::default());
        // Nobody could ask without an admin API.
        let recent = admin.as_ref().map(|_| Arc::new(telemetry::Recent::default()));
        let spans = Arc::<telemetry::Spans>::default();
        let proxy = Proxy::new(
            Arc::clone(&current),
            self.hooks,
            Arc::clone(&counts),
            recent.clone(),
            Arc::clone(&spans),
        );
        let mut proxy = HttpProxy::new(proxy, Arc::new(server_conf_copy(&conf)));
        proxy.handle_init_modules();
        let proxy = Arc::new(proxy);
        let (mut doors, mut tcp, mut unix, mut udp) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut bound, mut files) = (Vec::new(), Vec::new());
        let ties = Arc::<Ties>::default();
        for (index, (sockets, listener)) in sockets.into_iter().enumerate() {
            let (name, address) = (listener.name.clone(), listener.address.clone());
            let clients = Arc::new(ClientConnections::default());
            clients.follow(per_client(&listener));
            let acceptance = Acceptance::default();
            let buffers = Arc::new(ArcSwapOption::new(buffers(&listener)));
            let pages = Arc::new(ArcSwapOption::new(pages(&listener)));
            let passage = match &sockets {
                Sockets::Udp(lanes) => {
                    Passage::new(lanes.len(), inherited.as_ref().is_some_and(|it| it.has_sessions_of(&name)))
                }
                Sockets::Tcp(_) | Sockets::Unix(..) => Passage::default(),
            };
            let facts =
                ListenerFacts { name: name.clone(), index, acceptance, clients, buffers, pages, passage };
            let facts = Arc::new(facts);
            let gate = |facts| Arc::new(Gate::new(facts, &current, &counts, &ties));
            let bare = |speaks| {
                BoundListener::without_door(name.clone(), address.clone(), speaks, Arc::clone(&facts.clients))
            };
            let socket = match sockets {
                Sockets::Udp(sockets) => {
                    bound.push(bare(Speaks::Udp));
                    udp.push((sockets, gate(facts)));
                    continue;
                }
                Sockets::Unix(socket, file) => {
                    bound.push(bare(Speaks::Tcp).with_file(file.clone()));
                    files.extend(file.map(|file| (file, Arc::clone(&facts))));
                    unix.push((socket, gate(facts)));
                    continue;
                }
                Sockets::Tcp(socket) if listener.layer4.is_some() => {
                    bound.push(bare(Speaks::Tcp));
                    tcp.push((socket, gate(facts)));
                    continue;
                }
                Sockets::Tcp(socket) => socket,
            };
            let tickets = Tickets::new(&listener)?;
            let protocols = protocols(&listener, &tickets)?;
            let door = Door::new(Arc::clone(&proxy), facts, bounds(&listener), protocols, Arc::default());
            bound.push(BoundListener::new(&door, address, tickets));
            doors.push((socket, Arc::new(door)));
        }
        let (control, changed) =
            Control::new(self.source, Arc::clone(&current), Arc::clone(&keeper), bound, start);
        let events = Arc::new(telemetry::Events::default());
        control.tell(Arc::clone(&events));
        let control = Arc::new(control);
        first_answers(&control);
        Ok(Bound {
            doors,
            tcp,
            unix,
            udp,
            files,
            ties,
            current,
            counts,
            recent: recent.unwrap_or_default(),
            events,
            history: Arc::default(),
            spans,
            board: Arc::default(),
            keeper,
            conf,
            stop_delay,
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
