//! Layer 4: connections whose bytes pass untouched.
//!
//! A TCP connection passes, in this order: `tcp` (who is asking, what it comes to), `choose` (decision and admission,
//! as at layer 7), `connect` (the backend, or the next one), `relay` (bytes by `splice`, through `pipes`). While it
//! runs, `ties` knows of it: it ends when nothing moves any more, or when its backend may keep no connection.
//!
//! May use snapshot, route, affinity, pool, health (to start a probe), telemetry and listen.

mod choose;
mod connect;
mod pipes;
mod relay;
mod service;
mod tcp;
mod ties;

pub(crate) use service::Layer4Listeners;
pub(crate) use tcp::TcpGate;
pub(crate) use ties::Ties;
