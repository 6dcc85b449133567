//! The journal of systemd, by its native protocol: one datagram of `NAME=value` lines for each entry.

use std::fmt;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use super::lines;

/// A connection to the journal.
#[derive(Debug)]
pub(in crate::telemetry::access_log) struct Journald {
    path: PathBuf,
    socket: UnixDatagram,
    /// Fields that each entry has, and the beginning of the message.
    before: String,
    entry: Vec<u8>,
}

impl Journald {
    pub(super) fn open(path: PathBuf, tag: String) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(&path)?;
        let before = format!("PRIORITY=6\nSYSLOG_IDENTIFIER={tag}\nMESSAGE=");
        Ok(Self { path, socket, before, entry: Vec::new() })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut outcome = Ok(());
        for line in lines(bytes) {
            self.entry.clear();
            self.entry.extend_from_slice(self.before.as_bytes());
            // A line has no line feed in it, so that it needs no length in front.
            self.entry.extend_from_slice(line);
            self.entry.push(b'\n');
            outcome = self.send();
        }
        outcome
    }

    /// Sends the entry; a journal that was restarted may have another socket under its name.
    fn send(&mut self) -> io::Result<()> {
        if self.socket.send(&self.entry).is_ok() {
            return Ok(());
        }
        self.socket = UnixDatagram::unbound()?;
        self.socket.connect(&self.path)?;
        self.socket.send(&self.entry).map(drop)
    }
}

impl fmt::Display for Journald {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the journal at {}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_an_entry() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        let mut log = Journald::open(path, "steadfast".to_owned()).unwrap();
        log.write(b"one\ntwo\n").unwrap();
        let mut buffer = [0; 1000];
        for line in ["one", "two"] {
            let length = journal.recv(&mut buffer).unwrap();
            let expected = format!("PRIORITY=6\nSYSLOG_IDENTIFIER=steadfast\nMESSAGE={line}\n");
            assert_eq!(std::str::from_utf8(&buffer[..length]).unwrap(), expected);
        }
    }
}
