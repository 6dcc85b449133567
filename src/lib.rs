//! Steadfast: a load balancer that keeps every session on the server that holds it.
//!
//! A reader's map: a connection enters through [`listen`], a request passes `l7`'s phases, [`route`] chooses its
//! pool, [`affinity`] its backend in a [`pool`], and on the way back affinity binds the session. [`config`] and
//! [`snapshot`] prepare what they all read; [`health`] keeps it true, and [`discovery`] finds backends that come
//! and go. `docs/architecture.md` tells it at length.
//!
//! To extend it, implement a [`hooks::Hook`] and start the same server:
//!
//! ```no_run
//! use steadfast::{Error, Steadfast, hooks::{Hook, RequestView, SessionKey}};
//!
//! /// Keeps each tenant on one backend, whatever cookies the browser has.
//! struct ByTenant;
//!
//! impl Hook for ByTenant {
//!     type State = ();
//!
//!     fn session_key(&self, request: &RequestView<'_>, _state: &mut ()) -> Option<SessionKey> {
//!         request.header("x-tenant").map(SessionKey::from_bytes)
//!     }
//! }
//!
//! fn main() -> Result<(), Error> {
//!     Steadfast::from_file("conf/tomcat.yaml")?.hook(ByTenant).run()
//! }
//! ```

mod admin;
pub mod affinity;
mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod discovery;
mod error;
pub mod health;
pub mod hooks;
mod l4;
mod l7;
pub mod lifecycle;
pub mod limits;
pub mod listen;
pub mod names;
pub mod pool;
mod pulse;
pub mod route;
pub mod snapshot;
pub mod store;
pub mod telemetry;
pub mod tls;

pub use app::{Bound, Running, Steadfast};
pub use error::Error;
#[doc(hidden)]
pub use l4::first_bytes_say;
