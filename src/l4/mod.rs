//! Layer 4: connections and datagrams whose bytes pass untouched.
//!
//! A TCP connection passes, in this order: `tcp` (who is asking, what it comes to), `first` (what the client says first, where
//! something in it is looked at), `choose` (decision and admission, as at layer 7), `connect` (the backend, or the next
//! one), `relay` (bytes by `splice`, through `pipes`). `options` is what its sockets are given, `side` the two of them. While it runs, `ties` knows of it: it ends when nothing moves any
//! more, or when its backend may keep no connection. `running` is what is counted of it. A session of UDP is chosen for and
//! ends in the same way; `udp` has the rest of it. `gate` is what both have of their listener.
//!
//! May use snapshot, route, affinity, pool, health (to start a probe), telemetry and listen.

mod choose;
mod connect;
mod first;
mod gate;
mod options;
mod pipes;
mod relay;
mod running;
mod service;
mod side;
mod tcp;
mod ties;
mod udp;

pub use first::first_bytes_say;
pub(crate) use gate::Gate;
pub(crate) use service::Layer4Listeners;
pub(crate) use ties::Ties;
