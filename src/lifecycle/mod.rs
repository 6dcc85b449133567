//! Start, change and stop: signals, another configuration, changes at run time, and the end of the last connection.
//!
//! [`Control`] is where a file, discovery and changes by hand meet ([`overlay`]); what they come to is compiled
//! and swapped whole.
//!
//! May use config, snapshot, store, pool, health and listen.

mod bound;
mod control;
mod overlay;
mod pid_file;
mod plan;
mod reload;
mod stop;
mod watch;

pub(crate) use bound::{BoundListener, bounds};
pub use control::{BackendChange, ChangeError, Control, ReloadError};
pub(crate) use pid_file::PidFile;
pub use plan::Plan;
pub(crate) use reload::{ControlService, hear_hangups};
pub(crate) use stop::{Manner, Stop, Stopper, wait_for_drain};
pub(crate) use watch::HealthService;
