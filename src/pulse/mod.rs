//! The pulse: what is looked at again and again beside the requests. Each quarter of a second the states of backends; each
//! second moves and losses, whether backends lose more than they used to, and the numbers if anybody listens. What it sees
//! becomes events and alerts. What sampled requests have left becomes spans.
//!
//! Requests pay nothing for it: it reads what they leave behind. May use `snapshot`, `telemetry`, `pool` and
//! `lifecycle`.

mod advice;
mod alerts;
mod exporter;
mod look;
mod post;
mod sampler;
mod service;
mod webhook;
mod words;

pub(crate) use advice::{Limits, advise};
pub(crate) use alerts::{Alert, Board};
pub(crate) use service::{Pulse, PulseService};
