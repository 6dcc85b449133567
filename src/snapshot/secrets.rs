//! The secrets of a configuration: keys of the token, and the affinity seed; made at first start where the
//! configuration names none, and kept in the state folder (mode 0600).

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use siphasher::sip128::SipHasher24;
use zeroize::Zeroizing;

use crate::affinity::{Key, KeyRing};
use crate::config::Checked;
use crate::config::checked::TokenKey;
use crate::pool::HashSeed;

/// Keys of rotations that are kept.
const MOST_ROTATIONS: usize = 30;

/// The keys and the seed that a snapshot is compiled with.
#[derive(Clone, Debug)]
pub struct Secrets {
    pub(super) keys: Arc<KeyRing>,
    /// Whether the key was made at first start, as the configuration names none.
    keys_of_our_own: bool,
    pub(super) seed: HashSeed,
    seed_of_our_own: bool,
}

/// A secret could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The state folder cannot be used.
    #[error("cannot use {path}: {source}; set `state_dir` to a folder that this user may write to")]
    StateFolder {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file in the state folder is not what was written there.
    #[error("{0} is damaged: restore it, or delete it and lose the bindings of running sessions")]
    Damaged(PathBuf),
    /// The configuration names the keys.
    #[error("the keys are configured: put a new one first under `keys`, on every replica, and reload")]
    Configured,
    /// Each key is tried on each token that names it, so they must not pile up.
    #[error(
        "{0} has the keys of 30 rotations: delete the oldest token.key.N files, whose cookies have expired"
    )]
    TooMany(PathBuf),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// Whether missing secrets are written to the state folder, or made for this process only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Missing {
    Keep,
    Forget,
}

impl Secrets {
    /// Takes the configured secrets; makes and keeps those that are missing.
    ///
    /// # Errors
    /// The state folder cannot be used.
    pub fn open(checked: &Checked) -> Result<Self, SecretsError> {
        Self::take(checked, Missing::Keep)
    }

    /// Takes the configured secrets; writes nothing. For `explain`, and for balancers without a state folder.
    ///
    /// # Errors
    /// A file in the state folder cannot be read.
    pub fn open_without_writing(checked: &Checked) -> Result<Self, SecretsError> {
        Self::take(checked, Missing::Forget)
    }

    /// Takes the secrets of a configuration that follows another one in the same process: what was made at first
    /// start stays, even if the state folder was emptied meanwhile.
    ///
    /// # Errors
    /// The state folder cannot be used.
    pub fn renew(&self, checked: &Checked) -> Result<Self, SecretsError> {
        let keys_stay = self.keys_of_our_own && checked.keys.is_empty();
        let seed_stays = self.seed_of_our_own && checked.affinity_seed.is_none();
        if keys_stay && seed_stays {
            return Ok(self.clone());
        }
        let mut secrets = Self::open(checked)?;
        if keys_stay {
            secrets.keys = Arc::clone(&self.keys);
        }
        if seed_stays {
            secrets.seed = self.seed;
        }
        Ok(secrets)
    }

    /// Makes a new key that seals from now on; all older ones open. For a balancer whose keys are in its state folder.
    ///
    /// # Errors
    /// The keys are configured, there are too many already, or the state folder cannot be used.
    pub(crate) fn rotate(&self, state_dir: &Path) -> Result<Self, SecretsError> {
        if !self.keys_of_our_own {
            return Err(SecretsError::Configured);
        }
        let numbers = state_key_numbers(state_dir)?;
        if numbers.len() >= MOST_ROTATIONS {
            return Err(SecretsError::TooMany(state_dir.to_owned()));
        }
        let next = numbers.last().map_or(1, |last| last.saturating_add(1));
        kept(state_dir, &format!("token.key.{next}"), Missing::Keep, random)?;
        let (sealing, older) = state_keys(state_dir, Missing::Forget)?;
        Ok(Self { keys: Arc::new(KeyRing::new(sealing, older)), ..self.clone() })
    }

    fn take(checked: &Checked, missing: Missing) -> Result<Self, SecretsError> {
        let mut keys = checked.keys.iter().map(|key| Ok(Key::new(&key.id, &thirty_two(key)?)));
        let first = keys.next().transpose()?;
        let older = keys.collect::<Result<Vec<_>, SecretsError>>()?;
        let (sealing, older) = match first {
            Some(key) => (key, older),
            None => state_keys(&checked.state_dir, missing)?,
        };
        // A seed that is not configured is made from the oldest key, so that replicas which share keys agree,
        // and kept, so that later rotations do not change it.
        let seed = match &checked.affinity_seed {
            Some(seed) => digest(&seed.0),
            None => {
                let make = || match checked.keys.last() {
                    Some(key) => {
                        let mut bytes = Zeroizing::new([0; 32]);
                        bytes.iter_mut().zip(digest(&key.secret.0).0).for_each(|(to, from)| *to = from);
                        Ok(bytes)
                    }
                    None => random(),
                };
                digest(kept(&checked.state_dir, "affinity.seed", missing, make)?.as_slice())
            }
        };
        Ok(Self {
            keys: Arc::new(KeyRing::new(sealing, older)),
            keys_of_our_own: checked.keys.is_empty(),
            seed,
            seed_of_our_own: checked.affinity_seed.is_none(),
        })
    }
}

/// The keys of the state folder: `token.key`, made at first start, and `token.key.1` and so on from each rotation since. The
/// newest seals; a file that is deleted takes the bindings along that only it can open.
fn state_keys(folder: &Path, missing: Missing) -> Result<(Key, Vec<Key>), SecretsError> {
    let mut sealing = Key::new("state", &kept(folder, "token.key", missing, random)?);
    let mut older = Vec::new();
    for number in state_key_numbers(folder)? {
        let name = format!("token.key.{number}");
        let key = Key::new(&format!("state-{number}"), &kept(folder, &name, Missing::Forget, random)?);
        older.insert(0, std::mem::replace(&mut sealing, key));
    }
    Ok((sealing, older))
}

/// Numbers of the rotations whose keys are in the folder, oldest first.
fn state_key_numbers(folder: &Path) -> Result<Vec<u32>, SecretsError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(SecretsError::StateFolder { path: folder.to_owned(), source }),
    };
    let number = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.ok()?.file_name().to_str()?.strip_prefix("token.key.")?.parse().ok()
    };
    let mut numbers: Vec<u32> = entries.filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn digest(bytes: &[u8]) -> HashSeed {
    HashSeed(SipHasher24::new_with_key(b"steadfast seed 1").hash(bytes).as_bytes())
}

fn thirty_two(key: &TokenKey) -> Result<Zeroizing<[u8; 32]>, SecretsError> {
    let bytes: &[u8] = &key.secret.0;
    bytes.try_into().map(Zeroizing::new).ok().ok_or_else(|| SecretsError::Damaged(PathBuf::from(&key.id)))
}

fn random() -> Result<Zeroizing<[u8; 32]>, SecretsError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice()).map_err(SecretsError::Random)?;
    Ok(bytes)
}

/// Reads 32 bytes from a file of the state folder, or makes them.
fn kept(
    folder: &Path,
    name: &str,
    missing: Missing,
    make: impl FnOnce() -> Result<Zeroizing<[u8; 32]>, SecretsError>,
) -> Result<Zeroizing<[u8; 32]>, SecretsError> {
    let path = folder.join(name);
    let failed = |source| SecretsError::StateFolder { path: path.clone(), source };
    match std::fs::read(&path) {
        Ok(bytes) => {
            let bytes = Zeroizing::new(bytes);
            return bytes
                .as_slice()
                .try_into()
                .map(Zeroizing::new)
                .ok()
                .ok_or_else(|| SecretsError::Damaged(path.clone()));
        }
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        Err(_) => {}
    }
    let bytes = make()?;
    if missing == Missing::Keep {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        // Written aside and renamed: a crash leaves no half of a key.
        let aside = folder.join(format!("{name}.new"));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&aside)
            .map_err(failed)?;
        file.write_all(bytes.as_slice()).and_then(|()| file.sync_all()).map_err(failed)?;
        std::fs::rename(&aside, &path).map_err(failed)?;
    }
    Ok(bytes)
}
