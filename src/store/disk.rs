//! The state folder's database of learned sessions: one file, a table for each pool.
//!
//! Keys are the digests that the learned table has; a session id is never written. Each transaction is on the
//! disk when it ends, so that neither a killed process nor a power cut damages the file or loses what was written.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _, TableDefinition,
    TableHandle as _, WriteTransaction,
};

use super::KeptPool;
use super::disk_error::{DiskError, fault, unusable};
use crate::affinity::{Change, Origin, Remembered, SessionDigest};
use crate::clock::Now;
use crate::names::{BackendTag, PoolName};

/// The file's name in the state folder.
const FILE: &str = "learned.redb";

/// What a damaged file is renamed to.
const DAMAGED: &str = "learned.redb.damaged";

/// Pages that redb keeps in memory. The sessions themselves are in memory anyway.
const CACHE_BYTES: usize = 8 << 20;

/// The mark of each pool, by table name.
const MARKS: TableDefinition<'_, &str, &[u8; 16]> = TableDefinition::new("marks");

/// What table names of pools begin with.
const POOL: &str = "pool/";

type Sessions<'n> = TableDefinition<'n, &'static [u8; 16], &'static [u8; 13]>;

/// The database of learned sessions.
#[derive(Debug)]
pub struct DiskStore {
    database: Database,
}

/// What there is to write for one pool.
#[derive(Debug)]
pub struct Work<'a> {
    /// The pool.
    pub pool: &'a KeptPool,
    /// What changed.
    pub changes: &'a [Change],
    /// Whether all is written anew instead.
    pub anew: bool,
}

/// Where the search for expired sessions goes on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Sweep {
    table: Option<String>,
    from: [u8; 16],
}

impl DiskStore {
    /// Opens or makes the database in a folder. A damaged one is moved aside first.
    ///
    /// # Errors
    /// Another process uses it, or the system refuses.
    pub fn open(folder: &Path) -> Result<Self, DiskError> {
        let path = folder.join(FILE);
        match Self::open_file(folder, &path) {
            Err(DiskError::Damaged(why)) => {
                let aside = folder.join(DAMAGED);
                std::fs::rename(&path, &aside).map_err(unusable)?;
                log::warn!(
                    "{} was damaged ({why}) and is now {}: sessions of the last run are not known; clients with a \
                     load-balancer cookie still find theirs. Check the disk, then delete the file",
                    path.display(),
                    aside.display(),
                );
                Self::open_file(folder, &path)
            }
            other => other,
        }
    }

    fn open_file(folder: &Path, path: &PathBuf) -> Result<Self, DiskError> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        file.and_then(|file| file.set_permissions(Permissions::from_mode(0o600))).map_err(unusable)?;
        // redb may panic on a file that somebody else has changed; reading all of it once keeps that in here.
        let open =
            || Database::builder().set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true).create(path);
        match catch_unwind(AssertUnwindSafe(open)) {
            Ok(database) => Ok(Self { database: database.map_err(fault)? }),
            Err(_) => Err(DiskError::Damaged("it cannot be read".to_owned())),
        }
    }

    /// Restores a pool's sessions that have not expired into its table; tells how many. Where the affinity seed is
    /// another one, they are deleted instead.
    ///
    /// # Errors
    /// The database cannot be read or written.
    pub fn load_into(&self, pool: &KeptPool, now: Now) -> Result<usize, DiskError> {
        let name = table_name(&pool.name);
        if self.mark(&name)? != Some(pool.mark) {
            let transaction = self.database.begin_write().map_err(fault)?;
            let had = transaction.delete_table(sessions(&name)).map_err(fault)?;
            set_mark(&transaction, &name, pool.mark)?;
            transaction.commit().map_err(fault)?;
            if had {
                log::warn!(
                    "pool {}: the affinity seed has changed: learned sessions of the last run are of no use",
                    pool.name
                );
            }
            return Ok(0);
        }
        let transaction = self.database.begin_read().map_err(fault)?;
        let Some(table) = absent_is_none(transaction.open_table(sessions(&name)))? else { return Ok(0) };
        let mut kept = Vec::new();
        for entry in table.iter().map_err(fault)? {
            let (session, value) = entry.map_err(fault)?;
            kept.push(decode(session.value(), value.value()));
        }
        // The most recently used first, as far as the end of life tells.
        kept.sort_unstable_by_key(|session| std::cmp::Reverse(session.expires_s));
        Ok(kept.iter().filter(|session| pool.learned.restore(session, now)).count())
    }

    /// Writes what changed, all in one transaction.
    ///
    /// # Errors
    /// The database cannot be written; nothing of it was.
    pub fn write(&self, work: &[Work<'_>], now: Now) -> Result<(), DiskError> {
        let transaction = self.database.begin_write().map_err(fault)?;
        for Work { pool, changes, anew } in work {
            let name = table_name(&pool.name);
            if *anew {
                transaction.delete_table(sessions(&name)).map_err(fault)?;
                set_mark(&transaction, &name, pool.mark)?;
            }
            let mut table = transaction.open_table(sessions(&name)).map_err(fault)?;
            if *anew {
                for session in pool.learned.export(now).flatten() {
                    table.insert(&session.session.0, &encode(&session)).map_err(fault)?;
                }
                continue;
            }
            for change in *changes {
                match change {
                    Change::Learned(session) => {
                        table.insert(&session.session.0, &encode(session)).map_err(fault)?;
                    }
                    Change::Forgotten { session } | Change::Evicted { session } => {
                        table.remove(&session.0).map_err(fault)?;
                    }
                }
            }
        }
        transaction.commit().map_err(fault)
    }

    /// Deletes expired sessions among the next `most`, also of pools that exist no more; tells how many.
    ///
    /// # Errors
    /// The database cannot be read or written.
    pub(super) fn sweep(&self, sweep: &mut Sweep, most: usize, now: Now) -> Result<usize, DiskError> {
        let transaction = self.database.begin_read().map_err(fault)?;
        let mut names: Vec<String> = transaction
            .list_tables()
            .map_err(fault)?
            .map(|table| table.name().to_owned())
            .filter(|name| name.starts_with(POOL))
            .collect();
        names.sort_unstable();
        let next = names.into_iter().find(|name| sweep.table.as_ref().is_none_or(|table| name >= table));
        let Some(name) = next else {
            *sweep = Sweep::default();
            return Ok(0);
        };
        let from = if sweep.table.as_ref() == Some(&name) { sweep.from } else { [0; 16] };
        let table = transaction.open_table(sessions(&name)).map_err(fault)?;
        let mut expired = Vec::new();
        let mut last = None;
        for entry in table.range::<&[u8; 16]>(&from..).map_err(fault)?.take(most) {
            let (session, value) = entry.map_err(fault)?;
            let session = decode(session.value(), value.value());
            last = Some(session.session.0);
            if u64::from(session.expires_s) <= now.unix_s {
                expired.push(session.session.0);
            }
        }
        // The last one is looked at twice: simpler than its successor.
        let moved_on = last.filter(|last| *last != from);
        *sweep = match moved_on {
            Some(from) => Sweep { table: Some(name.clone()), from },
            // Nothing sorts between a name and itself with a zero.
            None => Sweep { table: Some(format!("{name}\0")), from: [0; 16] },
        };
        drop((table, transaction));
        if !expired.is_empty() {
            let transaction = self.database.begin_write().map_err(fault)?;
            let mut table = transaction.open_table(sessions(&name)).map_err(fault)?;
            for session in &expired {
                table.remove(session).map_err(fault)?;
            }
            drop(table);
            transaction.commit().map_err(fault)?;
        }
        Ok(expired.len())
    }

    /// How many sessions are kept for a pool, expired ones among them.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn count(&self, pool: &PoolName) -> Result<u64, DiskError> {
        let transaction = self.database.begin_read().map_err(fault)?;
        let name = table_name(pool);
        let table = absent_is_none(transaction.open_table(sessions(&name)))?;
        table.map_or(Ok(0), |table| table.len().map_err(fault))
    }

    fn mark(&self, name: &str) -> Result<Option<SessionDigest>, DiskError> {
        let transaction = self.database.begin_read().map_err(fault)?;
        let Some(marks) = absent_is_none(transaction.open_table(MARKS))? else { return Ok(None) };
        let mark = marks.get(name).map_err(fault)?;
        Ok(mark.map(|mark| SessionDigest(*mark.value())))
    }
}

fn set_mark(transaction: &WriteTransaction, name: &str, mark: SessionDigest) -> Result<(), DiskError> {
    let mut marks = transaction.open_table(MARKS).map_err(fault)?;
    marks.insert(name, &mark.0).map_err(fault)?;
    Ok(())
}

fn table_name(pool: &PoolName) -> String {
    format!("{POOL}{pool}")
}

fn sessions(name: &str) -> Sessions<'_> {
    TableDefinition::new(name)
}

fn absent_is_none<T>(table: Result<T, redb::TableError>) -> Result<Option<T>, DiskError> {
    match table {
        Ok(table) => Ok(Some(table)),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(fault(error)),
    }
}

const CLIENT: u8 = 1;
const RETIRED: u8 = 2;

/// Backend, end of life, flags.
fn encode(session: &Remembered) -> [u8; 13] {
    let [a, b, c, d, e, f, g, h] = session.backend.0.to_le_bytes();
    let [i, j, k, l] = session.expires_s.to_le_bytes();
    let flags = u8::from(session.origin == Origin::Client) * CLIENT + u8::from(session.retired) * RETIRED;
    [a, b, c, d, e, f, g, h, i, j, k, l, flags]
}

fn decode(session: &[u8; 16], value: &[u8; 13]) -> Remembered {
    let [a, b, c, d, e, f, g, h, i, j, k, l, flags] = *value;
    Remembered {
        session: SessionDigest(*session),
        backend: BackendTag(u64::from_le_bytes([a, b, c, d, e, f, g, h])),
        origin: if flags & CLIENT == 0 { Origin::Application } else { Origin::Client },
        expires_s: u32::from_le_bytes([i, j, k, l]),
        retired: flags & RETIRED != 0,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::affinity::Learned;

    const NOW: Now = Now { monotonic_ms: 0, unix_s: 1_700_000_000 };

    fn pool(name: &str) -> KeptPool {
        let learned = Arc::new(Learned::new(100_000, Duration::from_secs(100)));
        KeptPool { name: PoolName::new(name), learned, mark: SessionDigest([7; 16]) }
    }

    fn session(n: u64) -> SessionDigest {
        let mut digest = [3; 16];
        let scattered = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        digest[..8].copy_from_slice(&scattered);
        digest[8..].copy_from_slice(&scattered);
        SessionDigest(digest)
    }

    fn anew(store: &DiskStore, pool: &KeptPool) {
        store.write(&[Work { pool, changes: &[], anew: true }], NOW).unwrap();
    }

    #[test]
    fn what_was_written_is_found_again_by_its_own_pool() {
        let folder = tempfile::tempdir().unwrap();
        let store = DiskStore::open(&folder.path().join("state")).unwrap();
        let (app, other) = (pool("app"), pool("other"));
        for n in 0..1000 {
            app.learned.learn(&session(n), BackendTag(n), Origin::Application, NOW);
        }
        app.learned.learn(&session(5000), BackendTag(u64::MAX), Origin::Client, NOW);
        app.learned.retire(&session(1), NOW);
        anew(&store, &app);
        let learned = Remembered {
            session: session(6000),
            backend: BackendTag(6),
            origin: Origin::Application,
            expires_s: u32::try_from(NOW.unix_s).unwrap() + 5,
            retired: false,
        };
        let changes = [
            Change::Learned(learned),
            Change::Forgotten { session: session(2) },
            Change::Evicted { session: session(3) },
            Change::Evicted { session: session(9999) },
        ];
        store.write(&[Work { pool: &app, changes: &changes, anew: false }], NOW).unwrap();
        drop(store);
        let path = folder.path().join("state").join(FILE);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let store = DiskStore::open(&folder.path().join("state")).unwrap();
        let again = pool("app");
        assert_eq!(store.load_into(&again, NOW).unwrap(), 1000);
        assert_eq!(store.load_into(&again, NOW).unwrap(), 0, "all are known now");
        assert_eq!(store.load_into(&other, NOW).unwrap(), 0);
        for n in [0, 1, 999, 5000] {
            assert_eq!(again.learned.peek(&session(n), NOW), app.learned.peek(&session(n), NOW), "{n}");
        }
        assert_eq!(again.learned.peek(&session(2), NOW), None);
        assert_eq!(again.learned.peek(&session(6000), NOW), Some(BackendTag(6)));
        let kept: Vec<_> = again.learned.export(NOW).flatten().collect();
        assert!(kept.contains(&learned));
        assert!(kept.iter().any(|kept| kept.session == session(1) && kept.retired));
        assert!(kept.iter().any(|kept| kept.session == session(5000) && kept.origin == Origin::Client));
    }

    #[test]
    fn sessions_of_another_seed_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let store = DiskStore::open(folder.path()).unwrap();
        let (app, other) = (pool("app"), pool("other"));
        for pool in [&app, &other] {
            pool.learned.learn(&session(1), BackendTag(1), Origin::Application, NOW);
            anew(&store, pool);
        }
        let reseeded = KeptPool { mark: SessionDigest([8; 16]), ..pool("app") };
        assert_eq!(store.load_into(&reseeded, NOW).unwrap(), 0);
        assert_eq!(store.load_into(&pool("app"), NOW).unwrap(), 0, "they are gone for good");
        assert_eq!(store.load_into(&pool("other"), NOW).unwrap(), 1);
    }

    #[test]
    fn expired_sessions_are_not_loaded_and_swept_away_bit_by_bit() {
        let folder = tempfile::tempdir().unwrap();
        let store = DiskStore::open(folder.path()).unwrap();
        let (app, gone) = (pool("app"), pool("gone"));
        let later = NOW.after(Duration::from_secs(60));
        for n in 0..1000 {
            let at = if n % 2 == 0 { NOW } else { later };
            app.learned.learn(&session(n), BackendTag(n), Origin::Application, at);
            gone.learned.learn(&session(n), BackendTag(n), Origin::Application, NOW);
        }
        anew(&store, &app);
        anew(&store, &gone);
        let then = NOW.after(Duration::from_secs(110));
        let again = pool("app");
        assert_eq!(store.load_into(&again, then).unwrap(), 500);
        let mut sweep = Sweep::default();
        let turns: Vec<_> = (0..30).map(|_| store.sweep(&mut sweep, 100, then).unwrap()).collect();
        assert!(turns.iter().all(|deleted| *deleted <= 100));
        assert_eq!(turns.iter().sum::<usize>(), 1500, "{turns:?}");
        assert_eq!(store.count(&app.name).unwrap(), 500);
        assert_eq!(store.count(&gone.name).unwrap(), 0);
    }

    #[test]
    fn a_damaged_file_is_moved_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        std::fs::write(&path, vec![0x5a; 100_000]).unwrap();
        let store = DiskStore::open(folder.path()).unwrap();
        assert_eq!(std::fs::read(folder.path().join(DAMAGED)).unwrap(), vec![0x5a; 100_000]);
        let app = pool("app");
        for n in 0..5000 {
            app.learned.learn(&session(n), BackendTag(n), Origin::Application, NOW);
        }
        anew(&store, &app);
        drop(store);
        let whole = std::fs::read(&path).unwrap();
        for damage in 0..12_usize {
            let mut bytes = whole.clone();
            let length = bytes.len();
            if damage % 3 == 0 {
                bytes.truncate(length * damage / 12);
            } else {
                let at = length * damage / 12;
                bytes[at..(at + 4096).min(length)].fill(0xa5);
            }
            std::fs::write(&path, bytes).unwrap();
            let store = DiskStore::open(folder.path()).expect("never refused");
            let again = pool("app");
            let found = store.load_into(&again, NOW).unwrap();
            for known in again.learned.export(NOW).flatten() {
                assert_eq!(app.learned.peek(&known.session, NOW), Some(known.backend), "never a wrong one");
            }
            assert!(found == 0 || found == 5000, "{found}");
            anew(&store, &app);
        }
    }

    #[test]
    fn a_file_in_use_is_locked_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = DiskStore::open(folder.path()).unwrap();
        assert!(matches!(DiskStore::open(folder.path()), Err(DiskError::Locked)));
        assert!(!folder.path().join(DAMAGED).exists());
        drop(first);
        DiskStore::open(folder.path()).unwrap();
    }

    #[test]
    #[ignore = "measures"]
    #[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
    fn measure() {
        let folder = tempfile::tempdir_in("/work").unwrap();
        let store = DiskStore::open(folder.path()).unwrap();
        let learned = Arc::new(Learned::new(1_200_000, Duration::from_secs(100)));
        let app = KeptPool { learned, ..pool("app") };
        for n in 0..1_000_000 {
            app.learned.learn(&session(n), BackendTag(n), Origin::Application, NOW);
        }
        let start = std::time::Instant::now();
        anew(&store, &app);
        println!("anew {:?}", start.elapsed());
        let all: Vec<_> = app.learned.export(NOW).flatten().map(Change::Learned).collect();
        for size in [1, 10, 100, 1000, 2000, 2000, 2000, 65536] {
            let start = std::time::Instant::now();
            store.write(&[Work { pool: &app, changes: &all[size..2 * size], anew: false }], NOW).unwrap();
            println!("write {size} {:?}", start.elapsed());
        }
        let start = std::time::Instant::now();
        let _ = store.sweep(&mut Sweep::default(), 20_000, NOW).unwrap();
        println!("sweep {:?}", start.elapsed());
        println!("file {}", folder.path().join(FILE).metadata().unwrap().len());
        std::mem::forget(store);
        let copy = tempfile::tempdir_in("/work").unwrap();
        std::fs::copy(folder.path().join(FILE), copy.path().join(FILE)).unwrap();
        let start = std::time::Instant::now();
        let store = DiskStore::open(copy.path()).unwrap();
        println!("open after a crash {:?}", start.elapsed());
        let again =
            KeptPool { learned: Arc::new(Learned::new(1_200_000, Duration::from_secs(100))), ..pool("app") };
        let start = std::time::Instant::now();
        println!("load {} {:?}", store.load_into(&again, NOW).unwrap(), start.elapsed());
    }
}
