//! Start, change and stop: signals, another configuration, changes at run time, and the end of the last connection.
//!
//! [`Control`] is where a file, discovery and changes by hand meet (`overlay`); what they come to is compiled
//! and swapped whole.
//!
//! `handover` passes sockets, live state and sessions to another process, which `upgrade` starts.
//!
//! May use config, snapshot, store, affinity (to carry sessions over), pool, health, discovery, listen and telemetry.

mod bound;
mod control;
mod discover;
mod handover;
mod history;
mod news;
mod overlay;
mod pid_file;
mod plan;
mod privileges;
mod reload;
mod share;
mod stop;
mod upgrade;
mod watch;

pub(crate) use bound::{BoundListener, Tickets, bounds, buffers, per_client, protocols};
pub(crate) use control::Start;
pub use control::{BackendChange, ChangeError, Control, ReloadError};
pub(crate) use discover::{DiscoveryService, first_answers};
pub(crate) use handover::{Estate, Giver, Heirloom, Inheritance, SOCKET_VARIABLE, connect, tell_predecessor};
pub(crate) use history::Past;
pub(crate) use pid_file::PidFile;
pub use plan::Plan;
pub use privileges::PrivilegesError;
pub(crate) use privileges::give_up_root;
pub(crate) use reload::{Asked, ControlService};
pub(crate) use share::SharingService;
pub(crate) use stop::{Manner, Stop, Stopper, wait_for_drain};
pub use upgrade::UpgradeError;
pub(crate) use upgrade::Upgrader;
pub(crate) use watch::HealthService;
