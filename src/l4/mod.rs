//! Layer 4: connections whose bytes pass untouched.
//!
//! A TCP connection passes, in this order: `tcp` (who is asking, what it comes to), `first` (what the client says first, where
//! something in it is looked at), `choose` (decision and admission, as at layer 7), `connect` (the backend, or the next
//! one), `relay` (bytes by `splice`, through `pipes`). While it runs, `ties` knows of it: it ends when nothing moves any
//! more, or when its backend may keep no connection. `running` is what is counted of it.
//!
//! May use snapshot, route, affinity, pool, health (to start a probe), telemetry and listen.

mod choose;
mod connect;
mod first;
mod pipes;
mod relay;
mod running;
mod service;
mod tcp;
mod ties;

pub use first::first_bytes_say;
pub(crate) use service::Layer4Listeners;
pub(crate) use tcp::TcpGate;
pub(crate) use ties::Ties;
