//! Start, reload and stop: signals, another configuration, and the end of the last connection.
//!
//! May use config, snapshot, store, health and listen.

mod pid_file;
mod reload;
mod share;
mod stop;
mod watch;

pub(crate) use pid_file::PidFile;
pub(crate) use reload::{BoundListener, ReloadService, Reloader, bounds, hear_hangups};
pub(crate) use share::SharingService;
pub(crate) use stop::{Manner, Stop, Stopper, wait_for_drain};
pub(crate) use watch::HealthService;
