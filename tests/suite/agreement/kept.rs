//! The explanations that the balancer keeps of recent requests, gathered while they are recent.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::metrics::Metered;

/// Explanations by the request's own id.
pub(super) type Kept = BTreeMap<String, Value>;

/// Between two looks: far below the second in which the shelves are filled once.
const PAUSE: Duration = Duration::from_millis(250);

/// Asks again and again for what is kept, and for each record of it by the id of its request, until `ends`; and once more.
pub(super) fn collect(metered: &Metered, ends: impl Fn() -> bool) -> Kept {
    let (mut kept, mut known) = (Kept::new(), BTreeSet::new());
    loop {
        let last = ends();
        let all = metered.get_json("/v1/requests").expect("the list is always there");
        for summary in all["requests"].as_array().unwrap() {
            if !known.insert(summary["number"].as_u64().unwrap()) {
                continue;
            }
            let id = summary["request_id"].as_str().unwrap_or_else(|| panic!("{summary} has no id"));
            // What makes room for others between two questions is told of no more.
            let Some(one) = metered.get_json(&format!("/v1/requests/{id}")) else { continue };
            assert_eq!(one["request"], *summary, "the same, whichever way it is asked for");
            assert!(kept.insert(id.to_owned(), one).is_none(), "one record for each request");
        }
        if last {
            return kept;
        }
        sleep(PAUSE);
    }
}
