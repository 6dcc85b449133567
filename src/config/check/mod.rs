//! What needs more than one value, or more than the file: the last step to a [`Checked`] configuration.
//!
//! Each function takes a model type apart and gives the checked type; `None` means that a problem is reported.
//! All parts are checked before the first `None` ends a function, so that no problem hides another.

mod actions;
mod admin;
mod affinity;
mod alerts;
mod buffer;
mod compression;
mod discovery;
mod endpoint;
mod exchange;
mod headers;
mod health;
mod layer4;
mod limits;
mod listeners;
mod log;
mod pool_tls;
mod pools;
mod quic;
mod routes;
mod secrets;
mod shadow;
mod shared;
mod telemetry;
mod template;
mod tls;
mod udp;
mod waiting_room;

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::checked::{Checked, Server};
use super::model::{self, Document};
use super::read::Spanned;
use super::report::{Code, Finding, Place, Report};
use super::text::FilePath;
use super::units::Whole;
use super::variables::Environment;
use super::words::{InsecureFiles, Word};
use crate::tls::Authorities;

/// What a configuration is checked against besides itself.
pub(super) struct Surroundings<'a> {
    /// The configuration file's folder.
    pub(super) folder: &'a Path,
    pub(super) environment: &'a dyn Environment,
    pub(super) report: &'a Report<'a>,
    /// Every file that was read.
    pub(super) files: RefCell<Vec<PathBuf>>,
    /// Whether a secret's file that others can read is an error; else it is a warning.
    pub(super) refuses_insecure_files: bool,
}

impl Surroundings<'_> {
    fn error(&self, code: Code, place: &Place, message: impl Into<String>, help: impl Into<String>) {
        self.report.add(Finding::error(code, place, message).help(help));
    }

    fn warn(&self, code: Code, place: &Place, message: impl Into<String>, help: impl Into<String>) {
        self.report.add(Finding::warning(code, place, message).help(help));
    }

    fn note(&self, code: Code, place: &Place, message: impl Into<String>, help: impl Into<String>) {
        self.report.add(Finding::note(code, place, message).help(help));
    }

    /// A path of the file, from the file's folder.
    fn path(&self, FilePath(path): &FilePath) -> PathBuf {
        self.folder.join(path)
    }

    /// Notes that the configuration was read from this file, too.
    fn reads(&self, path: &Path) {
        self.files.borrow_mut().push(path.to_owned());
    }

    /// Reports each value that occurs again.
    fn unique<'v>(&self, what: &str, values: impl IntoIterator<Item = (&'v str, &'v Place)>) {
        let mut first = HashMap::new();
        for (value, place) in values {
            match first.get(value) {
                None => _ = first.insert(value, place.line),
                Some(line) => {
                    let message = format!("{what} `{value}` is given twice");
                    self.error(
                        Code::Duplicate,
                        place,
                        message,
                        format!("the first is on line {line}; choose another"),
                    );
                }
            }
        }
    }
}

/// Checks a document as a whole.
pub(super) fn document(document: Document, around: &Surroundings<'_>) -> Option<Checked> {
    let Document {
        version,
        server,
        state_dir,
        keys,
        affinity_seed,
        insecure_key_files,
        reload,
        admin,
        access_log,
        alerts,
        telemetry,
        listeners,
        pools,
    } = document;
    let refuses_insecure_files = insecure_key_files.get().is_some_and(|Word(InsecureFiles(refuse))| *refuse);
    let around = &Surroundings { refuses_insecure_files, files: RefCell::default(), ..*around };
    secrets::note_what_replicas_lack(&keys, &affinity_seed, around);
    shared::warn_if_seeds_differ(&keys, &affinity_seed, &pools, around);
    let keys = secrets::keys(keys, around);
    let affinity_seed = secrets::affinity_seed(affinity_seed, around);
    let access_log = log::access_log(access_log, around);
    let of_all = access_log.clone().flatten();
    let layer4 = layer4::pools(&listeners, &pools, around);
    layer4::source_suits_user(&pools, &server, around);
    let listeners = listeners::listeners(listeners, &pools, of_all.as_ref(), around);
    let admin = admin::admin(admin, listeners.as_deref().unwrap_or_default(), around);
    let webhook = alerts::webhook(alerts, around);
    let otlp = telemetry::otlp(telemetry, around);
    let server = self::server(server, around);
    let system = server.as_ref().and_then(|server| server.ca_file.as_deref());
    // That it cannot be read is Pingora's to say, where it is used.
    let system = system.and_then(|path| Authorities::read(path).ok());
    let pools = pools::pools(pools, system.as_ref(), &layer4, around);
    let watch = reload.value.and_then(|reload| reload.watch.value);
    version.get()?;
    access_log?;
    insecure_key_files.get()?;
    Some(Checked {
        server: server?,
        state_dir: around.path(state_dir.get()?),
        keys: keys?,
        affinity_seed: affinity_seed?,
        watch: watch?.0,
        admin: admin?,
        webhook: webhook?,
        otlp: otlp?,
        listeners: listeners?,
        pools: pools?,
        files: around.files.take(),
        warnings: Vec::new(),
    })
}

fn server(server: Spanned<model::Server>, around: &Surroundings<'_>) -> Option<Server> {
    let server = server.value?;
    let group_place = server.group.place;
    let (user, group) = (server.user.value?.map(|user| user.0), server.group.value?.map(|group| group.0));
    if user.is_none() && group.is_some() {
        let help = "add `user: NAME`, or remove `group`";
        around.error(Code::Conflict, &group_place, "`group` counts only with `user`", help);
        return None;
    }
    let path = |path: Spanned<Option<FilePath>>| Some(path.value?.map(|path| around.path(&path)));
    Some(Server {
        threads: match server.threads.value? {
            Some(threads) => size(threads),
            None => std::thread::available_parallelism().map_or(1, usize::from),
        },
        work_stealing: server.work_stealing.value?.0,
        pid_file: path(server.pid_file)?,
        upgrade_sock: path(server.upgrade_sock)?,
        stop_delay: server.stop_delay.value?.0,
        grace_period_seconds: server.grace_period_seconds.value?.0,
        graceful_shutdown_timeout_seconds: server.graceful_shutdown_timeout_seconds.value?.0,
        upstream_keepalive_pool_size: size(server.upstream_keepalive_pool_size.value?),
        ca_file: path(server.ca_file)?,
        user,
        group,
    })
}

/// All parts, if none is missing; unlike `collect`, it looks at each of them, so that each reports its problems.
fn all<T>(parts: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let parts: Vec<Option<T>> = parts.collect();
    parts.into_iter().collect()
}

/// A bounded number as a size: none of the bounds comes near what the machine can count.
fn size<const MIN: u64, const MAX: u64>(Whole(number): Whole<MIN, MAX>) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A bounded number in 32 bits: all bounds that are used with it are far below.
fn count<const MIN: u64, const MAX: u64>(Whole(number): Whole<MIN, MAX>) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
