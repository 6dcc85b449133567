//! From the configuration's access logs to open ones.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::config::Checked;
use crate::config::checked;
use crate::telemetry::{
    AccessLog, Destination, Facility, Filter, LogFormat, Matter, Piece, Rotation, SyslogAddress, Writer,
};

/// The writers of all access logs, one for each destination.
#[derive(Clone, Debug, Default)]
pub struct Logs {
    writers: Vec<Arc<Writer>>,
}

/// An access log that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "the access log cannot be opened: {destination}: {source}; is its folder there, and may this user write to it?"
)]
pub struct LogError {
    destination: Destination,
    source: std::io::Error,
}

impl Logs {
    /// Opens what the listeners of a configuration write to. What is open already stays as it is.
    ///
    /// # Errors
    /// One of them cannot be opened.
    pub fn open(checked: &Checked, before: &Self) -> Result<Self, LogError> {
        let mut logs = Self::default();
        for log in checked.listeners.iter().filter_map(|listener| listener.access_log.as_ref()) {
            let destination = destination(&log.destination);
            if logs.writer(&destination).is_some() {
                continue;
            }
            let writer = match before.writers.iter().find(|writer| writer.is_for(&destination, log.buffer)) {
                Some(writer) => Arc::clone(writer),
                None => match Writer::start(destination.clone(), log.buffer) {
                    Ok(writer) => Arc::new(writer),
                    Err(source) => return Err(LogError { destination, source }),
                },
            };
            logs.writers.push(writer);
        }
        Ok(logs)
    }

    /// The writers.
    pub fn writers(&self) -> &[Arc<Writer>] {
        &self.writers
    }

    /// Opens files anew that somebody has moved away.
    pub fn reopen(&self) {
        self.writers.iter().for_each(|writer| writer.reopen());
    }

    /// Waits until everything is written that was entered so far, for a bounded time.
    pub fn flush(&self) {
        self.writers.iter().for_each(|writer| writer.flush());
    }

    /// The access log of a listener; `None` also where it was not opened, for a snapshot that serves nobody.
    pub(super) fn of(&self, config: checked::AccessLog) -> Option<AccessLog> {
        let writer = self.writer(&destination(&config.destination))?;
        let filter = Filter {
            only: config.only.into_iter().map(matter).collect(),
            slower_than: config.slower_than,
            one_of: config.one_of,
            turn: AtomicU64::new(0),
        };
        Some(AccessLog::new(filter, format(config.format), config.query, Arc::clone(writer)))
    }

    fn writer(&self, destination: &Destination) -> Option<&Arc<Writer>> {
        self.writers.iter().find(|writer| writer.destination() == destination)
    }
}

fn destination(config: &checked::LogDestination) -> Destination {
    match config.clone() {
        checked::LogDestination::File { path, rotation } => Destination::File {
            path,
            rotation: rotation.map(|checked::Rotation { size, keep }| Rotation { size, keep }),
        },
        checked::LogDestination::Stdout => Destination::Stdout,
        checked::LogDestination::Syslog { address, facility, tag } => Destination::Syslog {
            address: match address {
                checked::SyslogAddress::Unix(path) => SyslogAddress::Unix(path),
                checked::SyslogAddress::Udp(address) => SyslogAddress::Udp(address),
            },
            facility: match facility {
                checked::Facility::User => Facility::User,
                checked::Facility::Daemon => Facility::Daemon,
                checked::Facility::Local(number) => Facility::Local(number),
            },
            tag,
        },
        checked::LogDestination::Journald { socket, tag } => Destination::Journald { socket, tag },
    }
}

fn format(config: checked::LogFormat) -> LogFormat {
    let piece = |piece| match piece {
        checked::LogPiece::Text(text) => Piece::Text(text),
        checked::LogPiece::Field(field) => Piece::Field(field),
    };
    match config {
        checked::LogFormat::Json => LogFormat::Json,
        checked::LogFormat::Common => LogFormat::Common,
        checked::LogFormat::Combined => LogFormat::Combined,
        checked::LogFormat::Template(pieces) => LogFormat::Template(pieces.into_iter().map(piece).collect()),
    }
}

fn matter(config: checked::Matter) -> Matter {
    match config {
        checked::Matter::Errors => Matter::Errors,
        checked::Matter::ClientErrors => Matter::ClientErrors,
        checked::Matter::Moved => Matter::Moved,
        checked::Matter::Lost => Matter::Lost,
        checked::Matter::Retried => Matter::Retried,
    }
}
