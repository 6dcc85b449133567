//! HTTP/1 desync: nothing ambiguous gets through, and nothing valid is refused. `make desync` plays the same on others.

use std::path::Path;

use crate::support::app::App;
use crate::support::balancer::{SHARED, checked, configuration};

#[path = "../../examples/desync/corpus.rs"]
pub(crate) mod corpus;
#[path = "../../examples/desync/exchange.rs"]
#[expect(clippy::disallowed_methods, reason = "waits for answers that may never come")]
mod exchange;
#[path = "../../examples/desync/judge.rs"]
mod judge;
#[path = "../../examples/desync/reading.rs"]
mod reading;
#[path = "../../examples/desync/recorder.rs"]
mod recorder;

#[test]
fn every_odd_request_meets_its_verdict() {
    let backend = recorder::Recorder::start().unwrap();
    let pool = format!("    backends: [ {{ id: one, address: \"{}\" }} ]\n", backend.address);
    let apps: [App; 0] = [];
    let text = configuration(&apps, SHARED, "    timeouts: { head: 1s, body: 1s }\n", "")
        .replace("    backends: [  ]\n", &pool);
    let folder = tempfile::tempdir().unwrap();
    let bound = steadfast::Steadfast::from_checked(checked(&text, folder.path())).bind().unwrap();
    let address = bound.addresses()[0].1;
    let _running = bound.spawn().unwrap();
    let cases = corpus::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/http1")).unwrap();
    assert!(cases.len() > 400, "{} cases", cases.len());
    let mut names: Vec<_> = cases.iter().map(|case| &case.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "each has a name of its own");
    let faults: Vec<_> = cases
        .iter()
        .map(|case| (format!("{}/{}", case.group, case.name), exchange::play(case, address, &backend)))
        .filter(|(_, faults)| !faults.is_empty())
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}
