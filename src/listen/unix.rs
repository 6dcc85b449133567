//! Sockets in the file system: binding them, and what becomes of their files.

use std::fs::{Metadata, Permissions};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, lchown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use super::bind::{BACKLOG, BindError};

/// Binds and listens, non-blocking; `mode`, the bits of its file, says who may connect. A socket that a process left
/// behind is replaced, one that somebody listens on is not, and no other file ever is.
///
/// # Errors
/// Somebody listens there, something else is there, or the folder does not allow it; the error says what to do.
pub fn bind_unix(path: &Path, mode: u32) -> std::result::Result<UnixListener, BindError> {
    let failed = |source, help| BindError::new(format!("unix:{}", path.display()), source, help);
    make_room(path).map_err(|(source, help)| failed(source, help))?;
    try_bind(path, mode)
        .map_err(|source| failed(source, "its folder must exist, and this user must be able to write to it"))
}

fn make_room(path: &Path) -> std::result::Result<(), (Error, &'static str)> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err((
            ErrorKind::AlreadyExists.into(),
            "it is not a socket: move it away or choose another path",
        ));
    }
    let listens = "another process listens there: stop it or choose another path";
    match try_connect(path) {
        Ok(()) => Err((ErrorKind::AddrInUse.into(), listens)),
        // Its queue is full: it may take long to answer, but lives.
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err((ErrorKind::AddrInUse.into(), listens)),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|error| (error, "a process has left it behind: remove it"))
        }
        Err(error) => Err((error, "see who listens there")),
    }
}

fn try_connect(path: &Path) -> Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

fn try_bind(path: &Path, mode: u32) -> Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    // Before it listens: until then nobody can connect, whatever the file's mode.
    std::fs::set_permissions(path, Permissions::from_mode(mode))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The file of a socket that this process listens on: what is done to it later is done only while the path still leads to it.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Which file it is: device and number.
    identity: (u64, u64),
}

impl SocketFile {
    /// The file that is at this path now.
    ///
    /// # Errors
    /// There is none.
    pub fn at(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(&std::fs::symlink_metadata(path)?) })
    }

    /// Says who may connect from now on, by the bits of its file.
    pub fn follow(&self, mode: u32) {
        if self.metadata().is_some_and(|file| file.mode() & 0o777 != mode)
            && let Err(error) = std::fs::set_permissions(&self.path, Permissions::from_mode(mode))
        {
            log::warn!("unix:{}: its mode stays as it was: {error}", self.path.display());
        }
    }

    /// Gives it to another user and group.
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn give_to(&self, uid: u32, gid: u32) -> Result<()> {
        self.metadata().map_or(Ok(()), |_| lchown(&self.path, Some(uid), Some(gid)))
    }

    /// Removes it: nobody listens there any more.
    pub fn remove(&self) {
        if self.metadata().is_some()
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            log::warn!("unix:{}: left behind: {error}", self.path.display());
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn metadata(&self) -> Option<Metadata> {
        std::fs::symlink_metadata(&self.path).ok().filter(|file| identity(file) == self.identity)
    }
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_socket_that_nobody_listens_on_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let first = bind_unix(&path, 0o600).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let error = bind_unix(&path, 0o600).unwrap_err().to_string();
        assert!(error.contains("another process listens there"), "{error}");
        drop(first);
        assert!(path.exists(), "left behind");
        bind_unix(&path, 0o666).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
        let file = folder.path().join("file");
        std::fs::write(&file, "precious").unwrap();
        let error = bind_unix(&file, 0o600).unwrap_err().to_string();
        assert!(error.contains("not a socket"), "{error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
        assert!(bind_unix(Path::new("/nowhere/admin.sock"), 0o600).is_err());
    }

    #[test]
    fn a_process_that_is_too_busy_to_accept_is_not_taken_for_dead() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("busy.sock");
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        socket.listen(0).unwrap();
        let waiting: Vec<_> = std::iter::from_fn(|| try_connect(&path).ok()).take(100).collect();
        assert!(waiting.len() < 100, "its queue is full");
        let error = bind_unix(&path, 0o600).unwrap_err().to_string();
        assert!(error.contains("another process listens there"), "{error}");
    }

    #[test]
    fn a_file_that_another_process_has_put_there_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db.sock");
        let mode = || std::fs::metadata(&path).unwrap().mode() & 0o777;
        let first = bind_unix(&path, 0o600).unwrap();
        let file = SocketFile::at(&path).unwrap();
        file.follow(0o660);
        assert_eq!(mode(), 0o660);
        drop(first);
        // Bound while the first one is still there, so that it is another file for sure.
        let beside = folder.path().join("beside.sock");
        let _second = bind_unix(&beside, 0o600).unwrap();
        std::fs::rename(&beside, &path).unwrap();
        file.follow(0o666);
        file.remove();
        assert_eq!(mode(), 0o600, "another's");
        let file = SocketFile::at(&path).unwrap();
        file.remove();
        assert!(!path.exists());
        file.remove();
    }
}
