//! What systems that trace requests are told.

use super::Endpoint;

/// A collector of spans.
#[derive(Clone, PartialEq, Debug)]
pub struct Otlp {
    /// Where spans are posted.
    pub collector: Endpoint,
    /// Share of the traces that begin here and are exported, from 0 to 1. Default 1.
    pub sample: f64,
    /// What we are called there. Default `steadfast`.
    pub service_name: String,
    /// Requests whose spans wait, at most. Default 4096.
    pub queue: usize,
}
