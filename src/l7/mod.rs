//! Layer 7: the glue between Pingora's phases and the rooms that decide.
//!
//! A request passes, in this order: [`arrive`](self) (who is asking: client address, limits), `choose` (hooks,
//! route, evidence, decision, admission), `connect` (the backend's peer; again on each retry), `forward` (what
//! the backend is sent), `retry` (what a failure means), `answer` (hooks, binding), `log` (the summary); `trace`
//! keeps explanations for whoever asks afterwards.
//! `proxy.rs` lists the phases, one line each. Nothing is decided here that `affinity` or `pool` could decide.
//!
//! May use snapshot, route, affinity, pool, health (to start a probe), hooks, telemetry and listen.

mod access;
mod admit;
mod answer;
mod arrive;
mod choose;
mod compress;
mod connect;
mod context;
mod forward;
mod forwarded;
mod forwarded_field;
mod limit;
mod log;
mod mirror;
mod phases;
mod proxy;
mod reply;
mod request_id;
mod retry;
mod routed;
mod span;
mod split;
mod told;
mod trace;
mod tunnel;
mod wait;

pub(crate) use proxy::Proxy;
