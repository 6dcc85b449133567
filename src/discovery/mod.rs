//! Discovery: backends that come and go, by DNS, by a file, or by whatever implements [`Source`].
//!
//! A source waits until it is time, looks, and says what it found. A [`Watcher`] runs the sources of all pools and tells
//! a [`Sink`] what a pool's set of backends is, whenever it is another one. What that means for running sessions is the
//! sink's matter: a backend that is gone from the set drains first.
//!
//! **A source's failure loses nobody.** A resolver that is silent, broken or empty, a file that is gone, half-written
//! or wrong: each leaves the last good answer in force. Only a good answer without a backend takes it away.
//!
//! Ids are stable: the target of an SRV record, the name given in the file, else the address. So a server that comes
//! back under its id finds its sessions' evidence again.
//!
//! May use `pool`, `names` and `clock`.

mod backoff;
mod dns;
mod file;
mod found;
mod lines;
mod source;
mod spec;
mod watcher;
mod yaml;

pub use dns::{DnsSpec, Record};
pub use file::FileSpec;
pub use found::{Answer, Fault, Found, MAX_FOUND};
pub use source::{Sink, Source};
pub use spec::{OnEmpty, Spec};
pub use watcher::Watcher;
