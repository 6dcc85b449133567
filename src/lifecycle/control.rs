//! Control: what changes the configuration in force, while requests run.
//!
//! The file, what discovery finds and what is changed by hand meet here. Everything is read, checked and compiled before
//! anything changes; then the snapshot is swapped whole, and requests under way finish with the one that they began
//! with. One change at a time.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::bound::BoundListener;
use super::overlay::Overlay;
use super::plan::Plan;
use crate::clock::Now;
use crate::config::checked::{Backend, BackendState, Listener, Pool, Secret};
use crate::config::{self, Checked, Problems};
use crate::names::{BackendId, PoolName};
use crate::pool::{Cause, Health};
use crate::snapshot::{Current, Secrets, SecretsError, Snapshot};
use crate::store::Keeper;

/// What changes the configuration in force.
#[derive(Debug)]
pub struct Control {
    /// The file to reload from; `None`: the program that embeds us gave the configuration.
    source: Option<PathBuf>,
    current: Arc<Current>,
    keeper: Arc<Keeper>,
    listeners: Vec<BoundListener>,
    /// Tells the health monitor that there are other backends to watch.
    changed: watch::Sender<()>,
    world: Mutex<World>,
}

/// What the snapshot in force was compiled from.
#[derive(Debug)]
struct World {
    /// As the file has it.
    file: Checked,
    /// The file's pools with what differs at run time.
    in_force: Vec<Pool>,
    overlay: Overlay,
    secrets: Secrets,
}

/// Why a configuration was not put in force. The one before still is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// It has errors.
    #[error("{0}")]
    Configuration(#[from] Problems),
    /// A key or the seed could not be read.
    #[error("{0}")]
    Secrets(#[from] SecretsError),
    /// It asks for what only another process can do.
    #[error("{0}: a reload cannot change that; restart to put it in force")]
    NeedsAnotherProcess(String),
    /// There is no file.
    #[error("there is no file to reload: the program that runs the balancer gave it its configuration")]
    NoFile,
}

/// Why a change by hand was refused. Nothing has changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// No such pool.
    #[error("there is no pool `{0}`")]
    UnknownPool(String),
    /// No such backend.
    #[error("pool `{pool}` has no backend `{backend}`")]
    UnknownBackend {
        /// The pool.
        pool: PoolName,
        /// What was asked for.
        backend: String,
    },
    /// A backend of that id is there already.
    #[error("pool `{pool}` already has a backend `{backend}`; remove it first, or choose another id")]
    KnownBackend {
        /// The pool.
        pool: PoolName,
        /// The id.
        backend: String,
    },
    /// An id that the configuration would not take either.
    #[error("`{0}` is no id: letters, digits, `-`, `_` and `.`, at most 128 of them")]
    BadId(String),
    /// It drains already, because it was taken out.
    #[error("backend `{0}` was taken out and is draining; add it again to bring it back")]
    Leaving(String),
    /// The pool would have nobody left.
    #[error("backend `{0}` is the last one of its pool")]
    LastBackend(String),
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

impl Control {
    /// Control of what was compiled from `file`; the receiver hears of each change.
    pub(crate) fn new(
        source: Option<PathBuf>,
        current: Arc<Current>,
        keeper: Arc<Keeper>,
        listeners: Vec<BoundListener>,
        file: Checked,
        secrets: Secrets,
    ) -> (Self, watch::Receiver<()>) {
        let (changed, hears) = watch::channel(());
        let world = World { in_force: file.pools.clone(), file, overlay: Overlay::default(), secrets };
        (Self { source, current, keeper, listeners, changed, world: Mutex::new(world) }, hears)
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
        let file = config::load(self.source.as_ref().ok_or(ReloadError::NoFile)?)?;
        self.put_in_force(file)
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
    pub fn put_in_force(&self, mut file: Checked) -> Result<Plan, ReloadError> {
        let mut world = self.world.lock();
        if let Some(what) = self.needs_another_process(&world.file, &file) {
            return Err(ReloadError::NeedsAnotherProcess(what));
        }
        // Connections know their listener by its place at start.
        file.listeners.sort_by_key(|listener| self.listeners.iter().position(|bound| bound.is(listener)));
        let now = Now::read();
        let secrets = world.secrets.renew(&file)?;
        let (overlay, in_force) = world.next(&file, now);
        let plan = self.compare(&world, &file, &in_force, now);
        *world = World { file, in_force, overlay, secrets };
        for (bound, listener) in self.listeners.iter().zip(&world.file.listeners) {
            bound.follow(listener);
        }
        self.swap(&world, now);
        Ok(plan)
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

    /// Discovery has found these backends of a pool.
    pub fn found(&self, pool: &PoolName, backends: Vec<Backend>) {
        let altered = self.alter(pool.as_str(), |pool, world| {
            world.overlay.found(&pool.name, backends);
            Ok(())
        });
        if let Err(error) = altered {
            log::debug!("discovery: {error}");
        }
    }

    /// Where what is in force differs from the file, in words.
    pub fn differences(&self) -> Vec<String> {
        let world = self.world.lock();
        Plan::between(&world.file.pools, &world.in_force).changes
    }

    /// What callers of the admin API must present, if anything.
    pub(crate) fn admin_token(&self) -> Option<Secret> {
        self.world.lock().file.admin.as_ref()?.token.clone()
    }

    /// Lets those go who were taken out and whose time is over, or who do not answer. Called once a second.
    pub(crate) fn upkeep(&self, now: Now) {
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
            self.swap(&world, now);
        }
    }

    fn compare(&self, world: &World, file: &Checked, in_force: &[Pool], now: Now) -> Plan {
        let mut plan = Plan::between(&world.in_force, in_force);
        plan.compare_rest(&world.file, file);
        plan.count_moving(&self.current.load(), in_force, now);
        plan
    }

    fn alter(
        &self,
        pool: &str,
        alteration: impl FnOnce(&Pool, &mut World) -> Result<(), ChangeError>,
    ) -> Result<(), ChangeError> {
        let mut world = self.world.lock();
        let known = world.file.pools.iter().find(|known| known.name.as_str() == pool).cloned();
        let pool = known.ok_or_else(|| ChangeError::UnknownPool(pool.to_owned()))?;
        alteration(&pool, &mut world)?;
        let now = Now::read();
        let World { file, in_force, overlay, .. } = &mut *world;
        overlay.see_off(in_force, &file.pools, now);
        let after = overlay.pools(&file.pools);
        if after != *in_force {
            *in_force = after;
            self.swap(&world, now);
        }
        Ok(())
    }

    fn swap(&self, world: &World, now: Now) {
        let before = self.current.load();
        let checked = Checked { pools: world.in_force.clone(), ..world.file.clone() };
        self.current.replace(Snapshot::compile(checked, &world.secrets, Some(&before), now));
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
        overlay.follow(&self.file.pools, &file.pools);
        overlay.see_off(&self.in_force, &file.pools, now);
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
