//! Writes learned sessions into the state folder, behind the requests: a thread of its own, twice a second.
//!
//! A killed process loses what it learned in its last second at most, and so does a power cut.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::KeptPool;
use super::disk::{DiskStore, Sweep, Work};
use super::disk_error::DiskError;
use crate::affinity::{Batch, Journal};
use crate::clock::{Now, millis};

/// From one transaction to the next.
const TURN: Duration = Duration::from_millis(500);

/// Between two searches for expired sessions, and how many are looked at in each.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
const SWEEP_MOST: usize = 20_000;

/// Between two times that all is written anew: a flood must not keep the disk busy.
const ANEW_EVERY: Duration = Duration::from_secs(5);

/// After the system refused to open or write the file.
const REOPEN_AFTER: Duration = Duration::from_secs(10);

/// Keeps learned sessions in the state folder until it is stopped or dropped.
#[derive(Debug)]
pub struct Keeper {
    folder: PathBuf,
    desk: Arc<Desk>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread and its owner share.
#[derive(Debug, Default)]
struct Desk {
    orders: Mutex<Orders>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Orders {
    pools: Vec<Attached>,
    stop: bool,
}

/// A pool and the journal that is attached to its table.
#[derive(Clone, Debug)]
struct Attached {
    pool: KeptPool,
    journal: Arc<Journal>,
}

impl Keeper {
    /// Restores what is kept in the folder into the pools' tables, and keeps them from then on. Never fails: without
    /// the file all goes on, and a warning says what to do.
    pub fn start(folder: &Path, pools: Vec<KeptPool>) -> Self {
        let keeper = Self { folder: folder.to_owned(), desk: Arc::default(), thread: Mutex::default() };
        keeper.resume(pools);
        keeper
    }

    /// Keeps these pools again, after a [`stop`](Self::stop).
    pub fn resume(&self, pools: Vec<KeptPool>) {
        self.desk.orders.lock().stop = false;
        self.serve(pools);
        let mut writer = Writer::new(self.folder.clone());
        // Here, so that the first request finds them.
        writer.turn(&self.desk.pools(), Now::read(), false);
        let desk = Arc::clone(&self.desk);
        let run = move || writer.run(&desk);
        match std::thread::Builder::new().name("learned-keeper".to_owned()).spawn(run) {
            Ok(thread) => *self.thread.lock() = Some(thread),
            Err(error) => {
                log::warn!("learned sessions are not kept over a restart: no thread for it: {error}");
                self.serve(Vec::new());
            }
        }
    }

    /// Keeps these pools from now on, and no others: after a reload.
    pub fn serve(&self, pools: Vec<KeptPool>) {
        let mut orders = self.desk.orders.lock();
        let before = std::mem::take(&mut orders.pools);
        for pool in pools {
            let known = before.iter().find(|attached| {
                attached.pool.name == pool.name && Arc::ptr_eq(&attached.pool.learned, &pool.learned)
            });
            let journal = known.map(|attached| Arc::clone(&attached.journal)).unwrap_or_default();
            pool.learned.attach(&journal);
            orders.pools.push(Attached { pool, journal });
        }
        for Attached { pool, journal } in before {
            if !orders.pools.iter().any(|kept| Arc::ptr_eq(&kept.journal, &journal)) {
                pool.learned.detach(&journal);
            }
        }
    }

    /// Writes what is still to be written, and ends; what is learned afterwards is not kept.
    pub fn stop(&self) {
        // Held over the join: whoever else wants it stopped is to find it stopped.
        let mut running = self.thread.lock();
        let Some(thread) = running.take() else { return };
        self.desk.orders.lock().stop = true;
        self.desk.changed.notify_all();
        if thread.join().is_err() {
            log::error!("the thread that keeps learned sessions has panicked");
        }
        self.serve(Vec::new());
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Desk {
    fn pools(&self) -> Vec<Attached> {
        self.orders.lock().pools.clone()
    }

    /// Waits until the next turn; tells whether it is the last one.
    fn wait(&self) -> bool {
        let mut orders = self.orders.lock();
        self.changed.wait_while_for(&mut orders, |orders| !orders.stop, TURN);
        orders.stop
    }
}

/// The database, if it is open, and what is to be done to it.
#[derive(Debug)]
struct Writer {
    folder: PathBuf,
    store: Option<DiskStore>,
    /// The pools that are written since the database was opened.
    served: Vec<Served>,
    /// The pools whose sessions were restored: once only, or sessions that are over would come back.
    restored: Vec<Arc<Journal>>,
    reopen_ms: u64,
    sweep: Sweep,
    swept_ms: u64,
    /// What the operator was told last: each trouble is told once.
    told: String,
}

#[derive(Debug)]
struct Served {
    journal: Arc<Journal>,
    /// The disk lacks something that no journal has any more.
    incomplete: bool,
    anew_ms: u64,
}

impl Writer {
    fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            store: None,
            served: Vec::new(),
            restored: Vec::new(),
            reopen_ms: 0,
            sweep: Sweep::default(),
            swept_ms: 0,
            told: String::new(),
        }
    }

    fn run(mut self, desk: &Desk) {
        loop {
            let last = desk.wait();
            self.turn(&desk.pools(), Now::read(), last);
            if last {
                return;
            }
        }
    }

    fn turn(&mut self, pools: &[Attached], now: Now, last: bool) {
        if pools.is_empty() {
            return;
        }
        if let Err(error) = self.keep(pools, now, last) {
            self.tell(&error);
            // redb does not go on after a failed write; what was lost of it is written anew after the next open.
            self.store = None;
            self.served.clear();
            let wait = if matches!(error, DiskError::Locked) { TURN } else { REOPEN_AFTER };
            self.reopen_ms = now.monotonic_ms.saturating_add(millis(wait));
        }
    }

    fn keep(&mut self, pools: &[Attached], now: Now, last: bool) -> Result<(), DiskError> {
        if self.store.is_none() && now.monotonic_ms < self.reopen_ms && !last {
            return Ok(());
        }
        let store = match self.store.take() {
            Some(store) => store,
            None => DiskStore::open(&self.folder)?,
        };
        let store = self.store.insert(store);
        let is_kept = |journal: &Arc<Journal>| pools.iter().any(|pool| Arc::ptr_eq(&pool.journal, journal));
        self.served.retain(|served| is_kept(&served.journal));
        self.restored.retain(is_kept);
        for Attached { pool, journal } in pools {
            if self.served.iter().any(|served| Arc::ptr_eq(&served.journal, journal)) {
                continue;
            }
            let known = !pool.learned.is_empty();
            if !self.restored.iter().any(|restored| Arc::ptr_eq(restored, journal)) {
                let loaded = store.load_into(pool, now)?;
                if loaded > 0 {
                    log::info!("pool {}: {loaded} learned sessions are known from the last run", pool.name);
                }
                self.restored.push(Arc::clone(journal));
            }
            self.served.push(Served { journal: Arc::clone(journal), incomplete: known, anew_ms: 0 });
        }
        let batches: Vec<Batch> = pools.iter().map(|pool| pool.journal.take()).collect();
        let mut work = Vec::new();
        for (Attached { pool, journal }, batch) in pools.iter().zip(&batches) {
            let served = self.served.iter_mut().find(|served| Arc::ptr_eq(&served.journal, journal));
            let Some(served) = served else { continue };
            served.incomplete |= batch.overflowed;
            let anew = served.incomplete && (last || now.monotonic_ms >= served.anew_ms);
            if anew {
                served.incomplete = false;
                served.anew_ms = now.monotonic_ms.saturating_add(millis(ANEW_EVERY));
            }
            if anew || !batch.changes.is_empty() {
                work.push(Work { pool, changes: &batch.changes, anew });
            }
        }
        if !work.is_empty() {
            store.write(&work, now)?;
        }
        if now.ms_since(self.swept_ms) >= millis(SWEEP_EVERY) {
            self.swept_ms = now.monotonic_ms;
            store.sweep(&mut self.sweep, SWEEP_MOST, now)?;
        }
        self.told.clear();
        Ok(())
    }

    fn tell(&mut self, error: &DiskError) {
        let text = error.to_string();
        if self.told == text {
            return;
        }
        let folder = self.folder.display();
        match error {
            DiskError::Locked => log::warn!(
                "learned sessions are not kept in {folder} yet: another process does so. Fine while an upgrade \
                 hands over; else give each instance a `state_dir` of its own"
            ),
            _ => log::warn!(
                "learned sessions are not kept in {folder}: {text}. Check space and permissions of the folder; or \
                 write `learn: {{ persist: false }}`"
            ),
        }
        self.told = text;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use super::*;
    use crate::affinity::{Learned, Origin, SessionDigest};
    use crate::names::{BackendTag, PoolName};

    const FOLDER: &str = "STEADFAST_TEST_KEEPER_FOLDER";

    fn pool(name: &str) -> KeptPool {
        let learned = Arc::new(Learned::new(100_000, Duration::from_secs(1000)));
        KeptPool { name: PoolName::new(name), learned, mark: SessionDigest([7; 16]) }
    }

    fn session(n: u64) -> SessionDigest {
        let mut digest = [3; 16];
        digest[..8].copy_from_slice(&n.to_le_bytes());
        digest[8..].copy_from_slice(&n.to_le_bytes());
        SessionDigest(digest)
    }

    fn learn(pool: &KeptPool, n: u64) {
        pool.learned.learn(&session(n), BackendTag(n), Origin::Application, Now::read());
    }

    fn knows(pool: &KeptPool, n: u64) -> bool {
        pool.learned.peek(&session(n), Now::read()) == Some(BackendTag(n))
    }

    fn eventually(what: &str, is: impl Fn() -> bool) {
        let start = Now::read();
        while !is() {
            assert!(Now::read().ms_since(start.monotonic_ms) < 20_000, "{what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_stop_writes_all_and_a_start_finds_it() {
        let folder = tempfile::tempdir().unwrap();
        let (app, other) = (pool("app"), pool("other"));
        let keeper = Keeper::start(folder.path(), vec![app.clone(), other.clone()]);
        (0..100).for_each(|n| learn(&app, n));
        learn(&other, 1000);
        keeper.stop();
        learn(&app, 2000);
        let (app, other) = (pool("app"), pool("other"));
        let keeper = Keeper::start(folder.path(), vec![app.clone(), other.clone()]);
        assert!((0..100).all(|n| knows(&app, n)), "known as soon as it has started");
        assert!(!knows(&app, 2000), "nobody kept it");
        assert_eq!((app.learned.len(), other.learned.len()), (100, 1));
        keeper.stop();
    }

    #[test]
    fn a_flood_that_no_journal_holds_is_written_whole() {
        let folder = tempfile::tempdir().unwrap();
        let app = pool("app");
        let keeper = Keeper::start(folder.path(), vec![app.clone()]);
        (0..90_000).for_each(|n| learn(&app, n));
        keeper.stop();
        let again = pool("app");
        Keeper::start(folder.path(), vec![again.clone()]).stop();
        let lost = (0..90_000).filter(|n| knows(&app, *n) && !knows(&again, *n)).count();
        assert_eq!(lost, 0);
    }

    #[test]
    fn a_reload_keeps_the_table_and_adds_and_drops_pools() {
        let folder = tempfile::tempdir().unwrap();
        let (app, old, new) = (pool("app"), pool("old"), pool("new"));
        let keeper = Keeper::start(folder.path(), vec![app.clone(), old.clone()]);
        learn(&old, 1);
        learn(&new, 2);
        learn(&app, 3);
        keeper.serve(vec![app.clone(), new.clone()]);
        learn(&app, 4);
        learn(&old, 5);
        learn(&new, 6);
        keeper.stop();
        let (app, new) = (pool("app"), pool("new"));
        Keeper::start(folder.path(), vec![app.clone(), new.clone()]).stop();
        assert!(knows(&app, 3) && knows(&app, 4));
        assert!(knows(&new, 2) && knows(&new, 6), "what it knew before it was kept, too");
    }

    #[test]
    fn a_folder_in_use_is_taken_over_when_it_becomes_free() {
        let folder = tempfile::tempdir().unwrap();
        let (before, after) = (pool("app"), pool("app"));
        let first = Keeper::start(folder.path(), vec![before.clone()]);
        let second = Keeper::start(folder.path(), vec![after.clone()]);
        learn(&before, 1);
        learn(&after, 2);
        first.stop();
        eventually("the second takes over", || knows(&after, 1));
        second.stop();
        let again = pool("app");
        Keeper::start(folder.path(), vec![again.clone()]).stop();
        assert!(knows(&again, 1) && knows(&again, 2));
    }

    #[test]
    fn an_unusable_folder_stops_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "x").unwrap();
        let app = pool("app");
        let keeper = Keeper::start(&file, vec![app.clone()]);
        learn(&app, 1);
        assert!(knows(&app, 1));
        keeper.stop();
    }

    /// Not a test: what `a_killed_process_loses_its_last_second_at_most` kills.
    #[test]
    #[ignore = "run by another test as a process of its own"]
    fn child_that_learns() {
        let Some(folder) = std::env::var_os(FOLDER) else { return };
        let app = pool("app");
        let _keeper = Keeper::start(Path::new(&folder), vec![app.clone()]);
        for n in 0.. {
            learn(&app, n);
            println!("\nlearned {n} {}", Now::read().monotonic_ms);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn a_killed_process_loses_its_last_second_at_most() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["store::keeper::tests::child_that_learns", "--exact", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut learned = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let mut words = line.split(' ');
            if words.next() != Some("learned") {
                continue;
            }
            let mut number = || words.next().unwrap().parse::<u64>().unwrap();
            learned.push((number(), number()));
            if learned.len() == 1000 {
                // SIGKILL: no destructor runs.
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let again = pool("app");
        Keeper::start(folder.path(), vec![again.clone()]).stop();
        let last_ms = learned.last().unwrap().1;
        let due = learned.iter().filter(|(_, at_ms)| at_ms + 1000 <= last_ms);
        let lost: Vec<_> = due.clone().filter(|(n, _)| !knows(&again, *n)).collect();
        assert!(due.count() > 300);
        assert!(lost.is_empty(), "{lost:?} of {} until {last_ms}", learned.len());
    }
}
