//! When to look again.

use std::time::Duration;

use super::DnsSpec;

/// Whatever is configured and answered, no name is asked for more often.
const FLOOR: Duration = Duration::from_secs(1);

/// How long to wait after an answer with this time to live: as long as it says, within the bounds of the
/// configuration. So a resolver that says 0 is not asked without pause, and one that says a week not forgotten.
pub(super) fn pace(ttl: Duration, spec: &DnsSpec) -> Duration {
    ttl.max(spec.minimum).min(spec.refresh).max(FLOOR)
}

#[cfg(test)]
mod tests {
    use super::super::Record;
    use super::*;
    use crate::discovery::OnEmpty;

    #[test]
    fn a_time_to_live_is_respected_within_bounds() {
        let seconds = Duration::from_secs;
        let spec = |minimum, refresh| DnsSpec {
            name: "app.example".to_owned(),
            record: Record::Address { port: 80 },
            refresh,
            minimum,
            timeout: seconds(2),
            resolvers: Vec::new(),
            on_empty: OnEmpty::Keep,
        };
        let usual = spec(seconds(2), seconds(30));
        assert_eq!(pace(seconds(7), &usual), seconds(7));
        assert_eq!(pace(Duration::ZERO, &usual), seconds(2), "a lie of 0");
        assert_eq!(pace(seconds(7 * 86_400), &usual), seconds(30), "a lie of a week");
        let hasty = spec(Duration::from_millis(1), Duration::from_millis(10));
        assert_eq!(pace(Duration::ZERO, &hasty), FLOOR);
        assert_eq!(pace(seconds(60), &hasty), FLOOR);
    }
}
