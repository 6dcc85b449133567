//! The access log.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::names::LogField;

/// One line for each request, or for those that matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// Where lines go.
    pub destination: LogDestination,
    /// How they look.
    pub format: LogFormat,
    /// Whether paths keep their queries.
    pub query: bool,
    /// Only requests like these; empty: all.
    pub only: Vec<Matter>,
    /// Also those that took longer; alone, only those.
    pub slower_than: Option<Duration>,
    /// One of so many is written, of those that do not matter.
    pub one_of: u64,
    /// Bytes of lines that may wait.
    pub buffer: usize,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogDestination {
    /// A file.
    File {
        /// Where it is.
        path: PathBuf,
        /// Whether it is rotated by us.
        rotation: Option<Rotation>,
    },
    /// Standard output.
    Stdout,
    /// A syslog daemon.
    Syslog {
        /// Where it listens.
        address: SyslogAddress,
        /// What kind of program it takes us for.
        facility: Facility,
        /// What we are called there.
        tag: String,
    },
    /// The journal of systemd.
    Journald {
        /// Its socket.
        socket: PathBuf,
        /// What we are called there.
        tag: String,
    },
}

/// Rotation by size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Bytes that a file has at most, about.
    pub size: u64,
    /// Old files that are kept.
    pub keep: u32,
}

/// Where a syslog daemon listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogAddress {
    /// A socket in the file system.
    Unix(PathBuf),
    /// UDP.
    Udp(SocketAddr),
}

/// What kind of program a message is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facility {
    /// Other programs.
    User,
    /// Daemons.
    Daemon,
    /// For local use: 0 to 7.
    Local(u8),
}

/// How a line looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// A JSON object.
    Json,
    /// The Common Log Format.
    Common,
    /// The same with referer and user agent.
    Combined,
    /// The operator's own.
    Template(Vec<LogPiece>),
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogPiece {
    /// As it is.
    Text(String),
    /// A field.
    Field(LogField),
}

/// What makes a request matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matter {
    /// A server error, or no answer.
    Errors,
    /// A client error.
    ClientErrors,
    /// Its session moved.
    Moved,
    /// Its session was lost.
    Lost,
    /// It was tried more than once.
    Retried,
}
