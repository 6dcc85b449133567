//! Start, change and stop: signals, another configuration, changes at run time, and the end of the last connection.
//!
//! [`Control`] is where a file, discovery and changes by hand meet (`overlay`); what they come to is compiled
//! and swapped whole.
//!
//! `handover` passes sockets, live state and sessions to another process, which `upgrade` starts.
//!
//! May use config, snapshot, store, affinity (to carry sessions over), pool, health, discovery, listen and telemetry.

mod apply;
mod bound;
mod control;
mod discover;
mod drains;
mod handover;
mod history;
mod news;
mod notify;
mod overlay;
mod pid_file;
mod plan;
mod privileges;
mod refused;
mod reload;
mod rotate;
mod share;
mod stop;
mod upgrade;
mod watch;
mod watched_files;

pub use apply::Applied;
pub(crate) use bound::{BoundListener, Speaks, Tickets, bounds, buffers, pages, per_client, protocols};
pub(crate) use control::Start;
pub use control::{BackendChange, Control};
pub(crate) use discover::{DiscoveryService, first_answers};
pub(crate) use handover::{
    Estate, Farewell, Giver, Heirloom, Inheritance, Predecessor, SOCKET_VARIABLE, connect, tell_predecessor,
};
pub(crate) use history::Past;
pub(crate) use notify::ready as notify_ready;
pub(crate) use pid_file::PidFile;
pub use plan::Plan;
pub use privileges::PrivilegesError;
pub(crate) use privileges::give_up_root;
pub use refused::{ChangeError, ReloadError};
pub(crate) use reload::{Asked, ControlService};
pub use rotate::RotateError;
pub(crate) use share::SharingService;
pub(crate) use stop::{Manner, Stop, Stopper, wait_for_drain};
pub use upgrade::UpgradeError;
pub(crate) use upgrade::Upgrader;
pub(crate) use watch::HealthService;
