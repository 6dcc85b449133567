//! Where spans are exported, compiled.

use std::sync::Arc;

use super::endpoint::Endpoint;
use crate::config::checked;

/// Where spans are exported, and which.
#[derive(Clone, PartialEq, Debug)]
pub struct Tracing {
    /// The collector.
    pub collector: Arc<Endpoint>,
    /// What we are called there.
    pub service_name: Box<str>,
    /// Requests whose spans wait, at most.
    pub queue: usize,
    /// Of the traces that begin here, those are kept whose draw is below.
    kept_below: u64,
}

impl Tracing {
    pub(super) fn new(otlp: checked::Otlp) -> Self {
        let checked::Otlp { collector, sample, service_name, queue } = otlp;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share from 0 to 1; a conversion of floats saturates"
        )]
        let kept_below = (sample * u64::MAX as f64) as u64;
        Self {
            collector: Arc::new(Endpoint::new(collector)),
            service_name: service_name.into(),
            queue,
            kept_below,
        }
    }

    /// Whether a trace that begins here is kept, by a random number.
    pub fn samples(&self, draw: u64) -> bool {
        // Also the highest number, where all are.
        draw < self.kept_below || self.kept_below == u64::MAX
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn tracing(sample: f64) -> Tracing {
        let collector = checked::Endpoint {
            tls: false,
            host: "collector".to_owned(),
            port: 4318,
            target: "/v1/traces".to_owned(),
            token: None,
            timeout: Duration::from_secs(5),
        };
        Tracing::new(checked::Otlp { collector, sample, service_name: "steadfast".to_owned(), queue: 1 })
    }

    #[test]
    fn so_many_of_all_numbers_are_kept() {
        let draws = [0, 1 << 62, (1 << 63) - 1, 1 << 63, u64::MAX];
        let kept = |sample| draws.map(|draw| tracing(sample).samples(draw));
        assert_eq!(kept(1.0), [true; 5]);
        assert_eq!(kept(0.0), [false; 5]);
        assert_eq!(kept(0.5), [true, true, true, false, false]);
    }
}
