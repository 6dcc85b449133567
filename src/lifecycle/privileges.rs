//! Root is given up: once all addresses are bound, and before the first byte of a client is read.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, lchown};
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User, geteuid, setgid, setgroups, setuid};

use crate::listen::SocketFile;

/// Root could not be given up. Nothing is served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivilegesError {
    /// Nobody has that name.
    #[error("`server.{what}` is `{name}`, which this machine does not know: create it, or name another")]
    Unknown {
        /// `user` or `group`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Only root may become somebody else.
    #[error("only root can become `{0}`: start as root or as that user, or remove `server.user`")]
    NotRoot(String),
    /// The state folder cannot be handed over.
    #[error("cannot hand `state_dir` over to `{user}`: {source}")]
    StateFolder {
        /// To whom.
        user: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file of a socket cannot be handed over.
    #[error("cannot hand unix:{path} over to `{user}`: {source}")]
    Socket {
        /// Where it is.
        path: String,
        /// To whom.
        user: String,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused, or root could be had back.
    #[error("cannot become `{user}`: {source}")]
    System {
        /// Who.
        user: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Becomes `user` in `group` (its own, if none is named), for good and in all threads. Does nothing where it is that user
/// already, as in a process that an earlier one has started. The state folder and `files`, those of sockets, become that user's.
///
/// # Errors
/// It could not; the caller must not go on.
pub(crate) fn give_up_root<'f>(
    user: Option<&str>,
    group: Option<&str>,
    state_dir: &Path,
    files: impl Iterator<Item = &'f SocketFile>,
) -> Result<(), PrivilegesError> {
    let Some(name) = user else {
        if geteuid().is_root() {
            log::warn!("running as root: `server.user` names a user to become after start");
        }
        return Ok(());
    };
    let unknown = |what, name: &str| PrivilegesError::Unknown { what, name: name.to_owned() };
    let found = User::from_name(name).ok().flatten().ok_or_else(|| unknown("user", name))?;
    let gid = match group {
        Some(group) => Group::from_name(group).ok().flatten().ok_or_else(|| unknown("group", group))?.gid,
        None => found.gid,
    };
    if !geteuid().is_root() {
        let same = geteuid() == found.uid;
        return if same { Ok(()) } else { Err(PrivilegesError::NotRoot(name.to_owned())) };
    }
    hand_over(state_dir, found.uid, gid)
        .map_err(|source| PrivilegesError::StateFolder { user: name.to_owned(), source })?;
    for file in files {
        file.give_to(found.uid.as_raw(), gid.as_raw()).map_err(|source| PrivilegesError::Socket {
            path: file.path().display().to_string(),
            user: name.to_owned(),
            source,
        })?;
    }
    become_user(found.uid, gid)
        .map_err(|source| PrivilegesError::System { user: name.to_owned(), source })?;
    log::info!("root is given up: running as {name}");
    Ok(())
}

fn become_user(uid: Uid, gid: Gid) -> io::Result<()> {
    // In this order: without root the others would be refused.
    setgroups(&[])?;
    setgid(gid)?;
    setuid(uid)?;
    if uid.is_root() || setuid(Uid::from_raw(0)).is_err() {
        Ok(())
    } else {
        Err(io::Error::other("root could be had back"))
    }
}

/// The state folder has to be the user's. It is handed over once, while it is still root's: later its user could have put
/// links into it.
fn hand_over(folder: &Path, uid: Uid, gid: Gid) -> io::Result<()> {
    let ids = (Some(uid.as_raw()), Some(gid.as_raw()));
    match std::fs::symlink_metadata(folder) {
        Ok(metadata) if metadata.is_dir() && metadata.uid() == 0 && !shared(metadata.mode()) => {
            for entry in std::fs::read_dir(folder)? {
                lchown(entry?.path(), ids.0, ids.1)?;
            }
            lchown(folder, ids.0, ids.1)
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            lchown(folder, ids.0, ids.1)
        }
        Err(error) => Err(error),
    }
}

/// Whether others may write into a folder, such as `/tmp`.
fn shared(mode: u32) -> bool {
    mode & 0o022 != 0
}
