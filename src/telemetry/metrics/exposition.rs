//! What a scrape is answered with: samples, written as OpenMetrics or as Prometheus' own text.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Registry;

use super::families::{Family, Kind, families};
use crate::telemetry::{BOUNDS_US, Distribution};

/// How samples are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus text 0.0.4.
    Prometheus,
}

/// All samples at one moment.
#[derive(Debug, Default)]
pub struct Exposition {
    samples: Vec<(&'static Family, Sample)>,
}

#[derive(Debug)]
struct Sample {
    labels: Vec<(&'static str, String)>,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Count(u64),
    Time(f64),
    Level(f64),
    Spread(Box<Distribution>),
}

impl Format {
    /// What a client that accepts these media types is given: OpenMetrics where it likes that at least as much.
    pub fn accepted(accept: Option<&str>) -> Self {
        let liking = |name: &str| {
            let kinds = accept.unwrap_or_default().split(',');
            let of_name = kinds.filter_map(|kind| {
                let mut parts = kind.split(';').map(str::trim);
                let is_it = parts.next()?.eq_ignore_ascii_case(name);
                let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
                is_it.then(|| quality.unwrap_or(1.0))
            });
            of_name.fold(0.0, f32::max)
        };
        let open = liking("application/openmetrics-text");
        if open > 0.0 && open >= liking("text/plain") { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

impl Exposition {
    /// Adds a count. Labels are given in the order of the family's.
    pub fn count(&mut self, family: &'static Family, labels: &[&str], count: u64) {
        self.add(family, labels, Value::Count(count));
    }

    /// Adds a time that only grows, in seconds.
    pub fn time(&mut self, family: &'static Family, labels: &[&str], seconds: f64) {
        self.add(family, labels, Value::Time(seconds));
    }

    /// Adds what may rise and fall.
    pub fn level(&mut self, family: &'static Family, labels: &[&str], level: f64) {
        self.add(family, labels, Value::Level(level));
    }

    /// Adds how long things took.
    pub fn spread(&mut self, family: &'static Family, labels: &[&str], spread: Distribution) {
        self.add(family, labels, Value::Spread(Box::new(spread)));
    }

    fn add(&mut self, family: &'static Family, labels: &[&str], value: Value) {
        debug_assert_eq!(family.labels.len(), labels.len(), "{}", family.name);
        let labels = family.labels.iter().copied().zip(labels.iter().map(|label| (*label).to_owned()));
        self.samples.push((family, Sample { labels: labels.collect(), value }));
    }

    /// The text of all samples.
    pub fn encode(self, format: Format) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut written = String::new();
        let result = match format {
            Format::OpenMetrics => text::encode(&mut written, &registry),
            Format::Prometheus => prometheus_text::encode(&mut written, &registry),
        };
        // Writing into a string does not fail.
        debug_assert!(result.is_ok());
        written
    }
}

impl Collector for Exposition {
    /// Family by family, as the formats want it.
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in families() {
            let mut of_family = self.samples.iter().filter(|(of, _)| std::ptr::eq(*of, family)).peekable();
            if of_family.peek().is_none() {
                continue;
            }
            let kind = match family.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let mut metric = encoder.encode_descriptor(family.name, family.help, None, kind)?;
            for (_, sample) in of_family {
                if sample.labels.is_empty() {
                    sample.encode(&mut metric)?;
                } else {
                    sample.encode(&mut metric.encode_family(&sample.labels)?)?;
                }
            }
        }
        Ok(())
    }
}

impl Sample {
    fn encode(&self, metric: &mut MetricEncoder<'_>) -> fmt::Result {
        match &self.value {
            Value::Count(count) => metric.encode_counter(count, None::<&Exemplar<NoLabelSet, f64>>),
            Value::Time(seconds) => metric.encode_counter(seconds, None::<&Exemplar<NoLabelSet, f64>>),
            Value::Level(level) => metric.encode_gauge(level),
            Value::Spread(spread) => {
                let bounds = BOUNDS_US.iter().map(|us| seconds(*us)).chain([f64::INFINITY]);
                let buckets: Vec<_> = bounds.zip(spread.counts).collect();
                metric.encode_histogram::<NoLabelSet>(seconds(spread.sum_us), spread.count(), &buckets, None)
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact for centuries of microseconds")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::metrics::family;

    #[test]
    fn prometheus_asks_for_openmetrics_and_others_for_text() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;\
                          q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(Format::accepted(Some(prometheus)), Format::OpenMetrics);
        for other in ["*/*", "text/plain", "application/openmetrics-text;q=0.2, text/plain", "", "a;q=b,,;"] {
            assert_eq!(Format::accepted(Some(other)), Format::Prometheus, "{other}");
        }
        assert_eq!(Format::accepted(None), Format::Prometheus);
    }

    #[test]
    fn both_formats_have_each_sample_under_its_family() {
        let exposition = || {
            let mut exposition = Exposition::default();
            exposition.count(&family::RETRIES, &["app", "a\"1"], 7);
            exposition.level(&family::LISTEN_CONNECTIONS, &["web"], 2.0);
            exposition.count(&family::RETRIES, &["app", "b"], 8);
            let spread = Distribution { sum_us: 1500, ..Distribution::default() };
            exposition.spread(&family::DURATION, &["app", "a", "whole"], spread);
            exposition
        };
        let open = exposition().encode(Format::OpenMetrics);
        assert!(open.ends_with("# EOF\n"), "{open}");
        assert!(open.contains("# TYPE steadfast_l7_retries counter\n"), "{open}");
        let text = exposition().encode(Format::Prometheus);
        assert!(text.contains("# TYPE steadfast_l7_retries_total counter\n"), "{text}");
        for written in [open, text] {
            assert_eq!(written.matches("# TYPE steadfast_l7_retries").count(), 1, "{written}");
            for line in [
                "steadfast_l7_retries_total{pool=\"app\",backend=\"a\\\"1\"} 7\n",
                "steadfast_l7_retries_total{pool=\"app\",backend=\"b\"} 8\n",
                "steadfast_listen_connections{listener=\"web\"} 2.0\n",
                "steadfast_l7_request_duration_seconds_sum{pool=\"app\",backend=\"a\",phase=\"whole\"} 0.0015\n",
                "le=\"+Inf\"",
            ] {
                assert!(written.contains(line), "{line} in {written}");
            }
        }
        assert_eq!(seconds(u64::try_from(Duration::from_secs(60).as_micros()).unwrap()).to_string(), "60");
    }
}
