//! Control: what changes the configuration in force, while requests run.
//!
//! The file, what discovery finds and what is changed by hand meet here. Everything is read, checked and compiled before
//! anything changes; then the snapshot is swapped whole, and requests under way finish with the one that they began
//! with. One change at a time.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::bound::BoundListener;
use super::drains::count_left;
use super::history::History;
use super::overlay::{Members, Overlay};
use super::plan::Plan;
use super::refused::{ChangeError, ReloadError};
use super::upgrade::{UpgradeError, Upgrader};
use crate::clock::Now;
use crate::config::checked::{Backend, BackendState, Listener, Pool, Secret};
use crate::config::{self, Checked};
use crate::discovery::Spec;
use crate::names::{BackendId, ListenAddress, ListenerName, PoolName};
use crate::pool::{Cause, Health};
use crate::snapshot::{Current, Logs, Secrets, Snapshot, discovered};
use crate::store::Keeper;
use crate::telemetry::Events;

/// What changes the configuration in force.
#[derive(Debug)]
pub struct Control {
    /// The file to reload from; `None`: the program that embeds us gave the configuration.
    source: Option<PathBuf>,
    pub(super) current: Arc<Current>,
    keeper: Arc<Keeper>,
    listeners: Vec<BoundListener>,
    /// Tells the health monitor that there are other backends to watch.
    changed: watch::Sender<()>,
    pub(super) world: Mutex<World>,
    pub(super) history: History,
    /// Starts another process in this one's place, where that is possible.
    upgrader: OnceLock<Upgrader>,
    /// Who is told of reloads and upgrades.
    pub(super) events: OnceLock<Arc<Events>>,
}

/// What the snapshot in force was compiled from.
#[derive(Debug)]
pub(super) struct World {
    /// As the file has it.
    pub(super) file: Checked,
    /// The file's pools with what differs at run time.
    in_force: Vec<Pool>,
    pub(super) overlay: Overlay,
    pub(super) secrets: Secrets,
    /// Another process has taken over.
    pub(super) handed_over: bool,
}

/// What another process needs of the world to go on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct CarriedWorld {
    file: Vec<Members>,
    in_force: Vec<Members>,
    overlay: Overlay,
}

/// What is changed of a backend by hand; `None` leaves as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BackendChange {
    /// What the operator wants of it.
    pub state: Option<BackendState>,
    /// For `state: draining`, how long it may drain; `None`: as its pool has it.
    pub deadline: Option<Duration>,
    /// Its share of new sessions.
    pub weight: Option<u16>,
}

/// What a process starts with.
#[derive(Debug)]
pub(crate) struct Start {
    file: Checked,
    in_force: Vec<Pool>,
    overlay: Overlay,
    secrets: Secrets,
}

impl Start {
    /// What a file says, and what the process before has carried over.
    pub(crate) fn new(file: Checked, secrets: Secrets, carried: CarriedWorld, now: Now) -> Self {
        let mut overlay = carried.overlay.resumed(now);
        overlay.follow(&carried.file, &file.pools);
        overlay.see_off(&carried.in_force, &file.pools, now);
        Self { in_force: overlay.pools(&file.pools), file, overlay, secrets }
    }

    /// The first snapshot.
    pub(crate) fn compile(&self, logs: Logs, now: Now) -> Snapshot {
        let checked = Checked { pools: self.in_force.clone(), ..self.file.clone() };
        Snapshot::compile(checked, &self.secrets, logs, None, now)
    }
}

impl Control {
    /// Control of what was compiled at the start; the receiver hears of each change.
    pub(crate) fn new(
        source: Option<PathBuf>,
        current: Arc<Current>,
        keeper: Arc<Keeper>,
        listeners: Vec<BoundListener>,
        start: Start,
    ) -> (Self, watch::Receiver<()>) {
        let (changed, hears) = watch::channel(());
        let Start { file, in_force, overlay, secrets } = start;
        let world = World { in_force, file, overlay, secrets, handed_over: false };
        (
            Self {
                source,
                current,
                keeper,
                listeners,
                changed,
                world: Mutex::new(world),
                history: History::new(),
                upgrader: OnceLock::new(),
                events: OnceLock::new(),
            },
            hears,
        )
    }

    /// The address of a bound listener, as the configuration has it.
    pub(crate) fn address(&self, listener: &ListenerName) -> Option<ListenAddress> {
        self.listeners.iter().find(|bound| bound.name == *listener).map(|bound| bound.address.clone())
    }

    /// The file that it reloads from.
    pub fn source(&self) -> Option<&Path> {
        self.source.as_deref()
    }

    /// Reads, checks and compiles the file, and puts it in force; tells what has changed.
    ///
    /// # Errors
    /// It was refused, and nothing has changed.
    pub fn reload(&self) -> Result<Plan, ReloadError> {
        let read = || Ok(config::load(self.source.as_ref().ok_or(ReloadError::NoFile)?)?);
        self.history.reload(read().and_then(|file| self.try_in_force(file)))
    }

    /// What a reload would change, and how many live sessions would move. Changes nothing.
    ///
    /// # Errors
    /// The file would be refused.
    pub fn plan(&self) -> Result<Plan, ReloadError> {
        let file = config::load(self.source.as_ref().ok_or(ReloadError::NoFile)?)?;
        let world = self.world.lock();
        let now = Now::read();
        let (_, in_force) = world.next(&file, now);
        let needs = self.needs_another_process(&world.file, &file);
        Ok(Plan { needs_another_process: needs, ..self.compare(&world, &file, &in_force, now) })
    }

    /// Puts a configuration in force.
    ///
    /// # Errors
    /// It asks for what only another process can do, or a secret cannot be read; nothing has changed.
    pub fn put_in_force(&self, file: Checked) -> Result<Plan, ReloadError> {
        self.history.reload(self.try_in_force(file))
    }

    fn try_in_force(&self, mut file: Checked) -> Result<Plan, ReloadError> {
        let mut world = self.world.lock();
        if world.handed_over {
            return Err(ReloadError::HandedOver);
        }
        if let Some(what) = self.needs_another_process(&world.file, &file) {
            return Err(ReloadError::NeedsAnotherProcess(what));
        }
        // Connections know their listener by its place at start.
        file.listeners.sort_by_key(|listener| self.listeners.iter().position(|bound| bound.is(listener)));
        let now = Now::read();
        let secrets = world.secrets.renew(&file)?;
        let logs = Logs::open(&file, &self.current.load().logs)?;
        let next = self.listeners.iter().zip(&file.listeners);
        let protocols: Vec<_> =
            next.map(|(bound, listener)| bound.next_protocols(listener)).collect::<Result<_, _>>()?;
        let (overlay, in_force) = world.next(&file, now);
        let plan = self.compare(&world, &file, &in_force, now);
        *world = World { file, in_force, overlay, secrets, handed_over: false };
        for ((bound, listener), next) in self.listeners.iter().zip(&world.file.listeners).zip(protocols) {
            bound.follow(listener, next);
        }
        self.swap(&world, Some(logs), now);
        self.told_of_reload(&plan.changes, now);
        Ok(plan)
    }

    /// Lets a new process, of the binary that is on the disk now, take over; gives its process id. Blocks until it serves.
    ///
    /// # Errors
    /// It did not take over, and this process goes on as before.
    pub fn upgrade(&self) -> Result<u32, UpgradeError> {
        if self.world.lock().handed_over {
            return Err(UpgradeError::HandedOver);
        }
        self.history.upgrade(self.upgrader.get().ok_or(UpgradeError::Embedded).and_then(Upgrader::upgrade))
    }

    /// Whether another process could take over.
    pub(crate) fn can_upgrade(&self) -> bool {
        self.upgrader.get().is_some()
    }

    /// Makes upgrades possible.
    pub(crate) fn upgrade_by(&self, upgrader: Upgrader) {
        // The first one stays: there is one process to succeed.
        let _ = self.upgrader.set(upgrader);
    }

    /// Changes a backend by hand. Stays over reloads, until the file changes the backend itself.
    ///
    /// # Errors
    /// There is no such backend.
    pub fn change(&self, pool: &str, backend: &str, change: &BackendChange) -> Result<(), ChangeError> {
        self.alter(pool, |pool, world| {
            let id = world.backend(pool, backend)?;
            let by_hand = world.overlay.by_hand(&pool.name, &id);
            if change.state.is_some() {
                (by_hand.state, by_hand.deadline) = (change.state, change.deadline);
            }
            by_hand.weight = change.weight.or(by_hand.weight);
            Ok(())
        })
    }

    /// Adds a backend by hand, or brings one back that was taken out by hand.
    ///
    /// # Errors
    /// The id is taken, or is none.
    pub fn add(&self, pool: &str, id: &str, address: SocketAddr, weight: u16) -> Result<(), ChangeError> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if id.is_empty() || id.len() > 128 || !id.chars().all(legal) {
            return Err(ChangeError::BadId(id.to_owned()));
        }
        self.alter(pool, |pool, world| {
            let id = BackendId::new(id);
            let leaving = world.overlay.is_leaving(&pool.name, &id);
            if !leaving && world.overlay.backends(pool).iter().any(|backend| backend.id == id) {
                let (pool, backend) = (pool.name.clone(), id.to_string());
                return Err(ChangeError::KnownBackend { pool, backend });
            }
            let by_hand = world.overlay.by_hand(&pool.name, &id);
            (by_hand.removed, by_hand.state) = (false, None);
            (by_hand.added, by_hand.weight) = (Some(address), Some(weight));
            Ok(())
        })
    }

    /// Takes a backend out by hand; it drains first, where its pool wants that.
    ///
    /// # Errors
    /// There is no such backend.
    pub fn remove(&self, pool: &str, backend: &str) -> Result<(), ChangeError> {
        self.alter(pool, |pool, world| {
            let id = world.backend(pool, backend)?;
            let staying =
                |other: &Backend| other.id != id && !world.overlay.is_leaving(&pool.name, &other.id);
            if !world.overlay.backends(pool).iter().any(staying) {
                return Err(ChangeError::LastBackend(backend.to_owned()));
            }
            world.overlay.by_hand(&pool.name, &id).removed = true;
            Ok(())
        })
    }

    /// Takes all changes by hand of one backend back: the file's word counts again.
    ///
    /// # Errors
    /// There is no such backend.
    pub fn forget_change(&self, pool: &str, backend: &str) -> Result<bool, ChangeError> {
        let mut was_changed = false;
        self.alter(pool, |pool, world| {
            was_changed = world.overlay.forget(&pool.name, &BackendId::new(backend));
            Ok(())
        })?;
        Ok(was_changed)
    }

    /// What the pools with discovery find their backends by.
    pub(crate) fn discovered(&self) -> Vec<(PoolName, Spec)> {
        discovered(&self.world.lock().file)
    }

    /// What another process needs to go on.
    pub(crate) fn carried(&self, now: Now) -> CarriedWorld {
        let world = self.world.lock();
        CarriedWorld {
            file: Members::of(&world.file.pools),
            in_force: Members::of(&world.in_force),
            overlay: world.overlay.clone().carried(now),
        }
    }

    /// From now on, another process is the one to ask; or it is no more.
    pub(crate) fn hand_over(&self, handed_over: bool) {
        self.world.lock().handed_over = handed_over;
        self.told_of_upgrade(handed_over);
    }

    /// Where what is in force differs from the file, in words.
    pub fn differences(&self) -> Vec<String> {
        let world = self.world.lock();
        Plan::between(&world.file.pools, &world.in_force).changes
    }

    /// The files whose change asks for a reload, where that is switched on.
    pub(super) fn watched_files(&self) -> Option<Vec<PathBuf>> {
        let world = self.world.lock();
        let source = self.source.clone().filter(|_| world.file.watch && !world.handed_over)?;
        Some(std::iter::once(source).chain(world.file.files.iter().cloned()).collect())
    }

    /// What callers of the admin API must present, if anything.
    pub(crate) fn admin_token(&self) -> Option<Secret> {
        self.world.lock().file.admin.as_ref()?.token.clone()
    }

    /// Lets those go who were taken out and whose time is over, or who do not answer. Called once a second.
    pub(crate) fn upkeep(&self, now: Now) {
        count_left(&self.current.load(), now);
        let mut world = self.world.lock();
        if world.overlay.nobody_leaves() {
            return;
        }
        let snapshot = self.current.load();
        let gone = |pool: &PoolName, id: &BackendId| {
            let pool = snapshot.pool_named(pool).map(|served| &served.pool);
            let backend = pool.and_then(|pool| pool.backend(pool.find(id.as_str())?));
            backend.is_none_or(|backend| backend.live().health(now) == Health::Down(Cause::Unreachable))
        };
        if world.overlay.dismiss(now, gone) {
            world.in_force = world.overlay.pools(&world.file.pools);
            self.swap(&world, None, now);
        }
    }

    fn compare(&self, world: &World, file: &Checked, in_force: &[Pool], now: Now) -> Plan {
        let mut plan = Plan::between(&world.in_force, in_force);
        plan.compare_rest(&world.file, file);
        plan.count_moving(&self.current.load(), in_force, now);
        plan
    }

    pub(super) fn alter(
        &self,
        pool: &str,
        alteration: impl FnOnce(&Pool, &mut World) -> Result<(), ChangeError>,
    ) -> Result<(), ChangeError> {
        let mut world = self.world.lock();
        if world.handed_over {
            return Err(ChangeError::HandedOver);
        }
        let known = world.file.pools.iter().find(|known| known.name.as_str() == pool).cloned();
        let pool = known.ok_or_else(|| ChangeError::UnknownPool(pool.to_owned()))?;
        alteration(&pool, &mut world)?;
        let now = Now::read();
        let World { file, in_force, overlay, .. } = &mut *world;
        overlay.see_off(&Members::of(in_force), &file.pools, now);
        let after = overlay.pools(&file.pools);
        if after != *in_force {
            *in_force = after;
            self.swap(&world, None, now);
        }
        Ok(())
    }

    pub(super) fn swap(&self, world: &World, logs: Option<Logs>, now: Now) {
        let before = self.current.load();
        let checked = Checked { pools: world.in_force.clone(), ..world.file.clone() };
        let logs = logs.unwrap_or_else(|| before.logs.clone());
        self.current.replace(Snapshot::compile(checked, &world.secrets, logs, Some(&before), now));
        self.keeper.serve(self.current.load().kept());
        self.changed.send_replace(());
    }

    /// What of this file only another process can put in force, if anything.
    fn needs_another_process(&self, before: &Checked, file: &Checked) -> Option<String> {
        if before.server != file.server {
            return Some("`server` was changed".to_owned());
        }
        let listen = |checked: &Checked| checked.admin.as_ref().map(|admin| admin.listen.clone());
        match (listen(before), listen(file)) {
            (None, None) => {}
            (Some(before), Some(after)) if before == after => {}
            (Some(before), _) => return Some(format!("the admin API was on {before}")),
            (None, Some(_)) => return Some("`admin` is new".to_owned()),
        }
        let is_new = |listener: &&Listener| !self.listeners.iter().any(|bound| bound.is(listener));
        self.listeners.iter().find_map(|bound| bound.differs(file)).or_else(|| {
            file.listeners.iter().find(is_new).map(|listener| format!("listener `{}` is new", listener.name))
        })
    }
}

impl World {
    /// The overlay and the pools that would be in force with another file.
    fn next(&self, file: &Checked, now: Now) -> (Overlay, Vec<Pool>) {
        let mut overlay = self.overlay.clone();
        overlay.follow(&Members::of(&self.file.pools), &file.pools);
        overlay.see_off(&Members::of(&self.in_force), &file.pools, now);
        let in_force = overlay.pools(&file.pools);
        (overlay, in_force)
    }

    /// The id of a backend that is in force and stays.
    fn backend(&self, pool: &Pool, backend: &str) -> Result<BackendId, ChangeError> {
        let known = self.overlay.backends(pool).into_iter().find(|known| known.id.as_str() == backend);
        match known {
            None => Err(ChangeError::UnknownBackend { pool: pool.name.clone(), backend: backend.to_owned() }),
            Some(known) if self.overlay.is_leaving(&pool.name, &known.id) => {
                Err(ChangeError::Leaving(backend.to_owned()))
            }
            Some(known) => Ok(known.id),
        }
    }
}
