//! Pools: who can serve, and who should.
//!
//! A [`Pool`] is immutable but for the [`Live`] state of its backends, which outlives reloads by backend id.
//! It knows nothing of sockets and, but for the wait for a place, has no clock: `health` and `l7` tell it what they met, `affinity` asks it
//! where a session may go. Replicas with the same configuration and affinity seed choose alike.
//!
//! May use `names` and `clock`.

mod backend;
mod balance;
mod carried;
mod checks;
mod drain;
mod forecast;
mod gate;
mod live;
mod place;
mod ring;
mod spec;
mod state;
mod suppose;
mod wait;
mod witnesses;
mod word;

pub use backend::{Backend, Pool};
pub use carried::CarriedLive;
pub use checks::{Checked, Checks};
pub use drain::Drain;
pub use gate::{Asker, Entry, Limits, Permit, Place, Waiting};
pub use live::Live;
pub use spec::{AdminState, Algorithm, BackendSpec, Ejection, HashSeed, PoolSpec};
pub use state::{Cause, CheckVerdict, Failure, Health, State};
pub use wait::{Admission, Patience};
pub use witnesses::{Replacement, Restart};
