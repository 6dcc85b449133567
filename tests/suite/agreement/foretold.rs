//! What the library's pure function says of a request before it is sent.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::Ordering;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use steadfast::affinity::{self, Circumstance, Evidence, RequestView, Verdict};
use steadfast::clock::Now;

use super::World;
use crate::metrics::Metered;

/// A decision that had to come.
pub(super) struct Foretold {
    /// The backend; `None`: nobody can serve it.
    pub(super) backend: Option<String>,
    pub(super) reason: &'static str,
    /// How each piece of evidence counts.
    pub(super) weights: Vec<&'static str>,
    /// What it followed from.
    states: Vec<&'static str>,
    failures: u64,
    incidents: usize,
}

/// Asks; `None` where the answer may be another one in a moment.
pub(super) fn ask(metered: &Metered, world: &World, path: &str, fields: &[&str]) -> Option<Foretold> {
    let incidents = world.incidents.load(Ordering::SeqCst);
    let failures = failures(metered);
    let now = Now::read();
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_static("app.test"));
    for field in fields {
        let (name, value) = field.split_once(": ").unwrap();
        headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    let request = RequestView {
        target: path.as_bytes(),
        headers: &headers,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        connection_choice: None,
        named_session: None,
    };
    let snapshot = metered.current.load();
    let served = &snapshot.pools[0];
    let evidence = Evidence::read(&request, &served.policy, &served.pool, now);
    let at = Circumstance { now, draw: 0, held: false };
    let explanation = affinity::explain(&evidence, &served.policy, &served.pool, at);
    let (backend, reason) = match &explanation.verdict {
        Verdict::To(decision) => {
            (Some(served.pool.backend(decision.backend)?.id().to_string()), decision.reason.as_str())
        }
        Verdict::Refuse(refusal) => (None, refusal.as_str()),
        // It depends on what the probe finds.
        Verdict::Hold(_) => return None,
    };
    let weights = explanation.findings.iter().map(|finding| finding.weight.as_str()).collect();
    let foretold = Foretold { backend, reason, weights, states: states(metered), failures, incidents };
    (incidents.is_multiple_of(2) && !foretold.states.contains(&"suspect")).then_some(foretold)
}

/// Whether nothing has happened since that a decision could follow from.
pub(super) fn still_counts(foretold: &Foretold, metered: &Metered, world: &World) -> bool {
    foretold.states == states(metered)
        && foretold.failures == failures(metered)
        && foretold.incidents == world.incidents.load(Ordering::SeqCst)
}

fn states(metered: &Metered) -> Vec<&'static str> {
    let (snapshot, now) = (metered.current.load(), Now::read());
    snapshot.pools[0].pool.backends().iter().map(|backend| backend.state(now).as_str()).collect()
}

/// Tries that failed so far, each of which makes its backend suspect.
fn failures(metered: &Metered) -> u64 {
    let traffic = metered.current.load().pools[0].traffic();
    traffic.backends.iter().flat_map(|backend| backend.failed).sum()
}
