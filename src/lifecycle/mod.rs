//! Start and stop: signals, and the end of the last connection.
//!
//! May use snapshot, health and listen.

mod pid_file;
mod stop;
mod watch;

pub(crate) use pid_file::PidFile;
pub(crate) use stop::{Manner, Stop, Stopper, wait_for_drain};
pub(crate) use watch::HealthService;
