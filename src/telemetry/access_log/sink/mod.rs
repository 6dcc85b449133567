//! Where lines go.

mod file;
mod journald;
mod syslog;

use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;

use file::LogFile;
use journald::Journald;
use syslog::Syslog;

pub use file::Rotation;
pub use syslog::{Facility, SyslogAddress};

/// Where lines go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Destination {
    /// A file.
    File {
        /// Where it is.
        path: PathBuf,
        /// Whether it is rotated by us; `None`: whoever moves it away says so (SIGUSR1).
        rotation: Option<Rotation>,
    },
    /// Standard output.
    Stdout,
    /// A syslog daemon (RFC 5424).
    Syslog {
        /// Where it is.
        address: SyslogAddress,
        /// What kind of program we are to it.
        facility: Facility,
        /// What we are called there.
        tag: String,
    },
    /// The journal of systemd, by its own protocol.
    Journald {
        /// Its socket.
        socket: PathBuf,
        /// What we are called there.
        tag: String,
    },
}

/// An open destination.
#[derive(Debug)]
pub(super) enum Sink {
    File(LogFile),
    Stdout,
    Syslog(Syslog),
    Journald(Journald),
}

impl Sink {
    pub(super) fn open(destination: &Destination) -> io::Result<Self> {
        Ok(match destination.clone() {
            Destination::File { path, rotation } => Self::File(LogFile::open(path, rotation)?),
            Destination::Stdout => Self::Stdout,
            Destination::Syslog { address, facility, tag } => {
                Self::Syslog(Syslog::open(address, facility, tag)?)
            }
            Destination::Journald { socket, tag } => Self::Journald(Journald::open(socket, tag)?),
        })
    }

    /// Writes whole lines.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file) => file.write(lines),
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(lines)?;
                out.flush()
            }
            Self::Syslog(syslog) => syslog.write(lines),
            Self::Journald(journald) => journald.write(lines),
        }
    }

    /// Opens a file anew.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.reopen(),
            Self::Stdout | Self::Syslog(_) | Self::Journald(_) => Ok(()),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, .. } => write!(f, "{}", path.display()),
            Self::Stdout => f.write_str("standard output"),
            Self::Syslog { address, .. } => write!(f, "syslog at {address}"),
            Self::Journald { socket, .. } => write!(f, "the journal at {}", socket.display()),
        }
    }
}

impl fmt::Display for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => file.fmt(f),
            Self::Stdout => f.write_str("standard output"),
            Self::Syslog(syslog) => syslog.fmt(f),
            Self::Journald(journald) => journald.fmt(f),
        }
    }
}

/// Lines without their ends.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}
