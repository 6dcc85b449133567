//! Binding a socket in the file system.

use std::fs::Permissions;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

use super::bind::{BACKLOG, BindError};

/// Binds and listens, non-blocking; only the own user may connect. A socket that a process left behind is replaced,
/// one that somebody listens on is not, and no other file ever is.
///
/// # Errors
/// Somebody listens there, something else is there, or the folder does not allow it; the error says what to do.
pub fn bind_unix(path: &Path) -> Result<UnixListener, BindError> {
    let failed = |source, help| BindError::new(format!("unix:{}", path.display()), source, help);
    make_room(path).map_err(|(source, help)| failed(source, help))?;
    try_bind(path)
        .map_err(|source| failed(source, "its folder must exist, and this user must be able to write to it"))
}

fn make_room(path: &Path) -> Result<(), (Error, &'static str)> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err((
            ErrorKind::AlreadyExists.into(),
            "it is not a socket: move it away or choose another path",
        ));
    }
    match UnixStream::connect(path) {
        Ok(_) => {
            let help = "another process listens there: stop it or choose another path";
            Err((ErrorKind::AddrInUse.into(), help))
        }
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|error| (error, "a process has left it behind: remove it"))
        }
        Err(error) => Err((error, "see who listens there")),
    }
}

fn try_bind(path: &Path) -> std::io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    // Before it listens: until then nobody can connect, whatever the file's mode.
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_socket_that_nobody_listens_on_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let first = bind_unix(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let error = bind_unix(&path).unwrap_err().to_string();
        assert!(error.contains("another process listens there"), "{error}");
        drop(first);
        assert!(path.exists(), "left behind");
        bind_unix(&path).unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "precious").unwrap();
        let error = bind_unix(&file).unwrap_err().to_string();
        assert!(error.contains("not a socket"), "{error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
        assert!(bind_unix(Path::new("/nowhere/admin.sock")).is_err());
    }
}
