//! Timeout advice: the gaps after which sessions come back, held against the configured limits and against what the
//! application itself seems to keep. Pure.

use std::time::Duration;

use crate::affinity::Gap;

/// Fewer sessions that came back say nothing.
const ENOUGH: u64 = 20;
/// Of one kind.
const SOME: u64 = 5;

/// What could be better, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Advice {
    /// Whether something is lost as it is.
    pub(crate) is_warning: bool,
    pub(crate) text: String,
}

/// The limits that sessions meet here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// `learn.idle`.
    pub(crate) learned: Duration,
    /// `load_balancer_cookie.idle`.
    pub(crate) cookie: Option<Duration>,
}

/// What the gaps say about the limits.
pub(crate) fn advise(gaps: &[Gap], limits: Limits) -> Vec<Advice> {
    let all: u64 = gaps.iter().map(|gap| gap.kept + gap.replaced + gap.forgotten).sum();
    if all < ENOUGH {
        return Vec::new();
    }
    let mut advice = Vec::new();
    let own = own_timeout(gaps);
    if let Some(own_s) = own {
        let beyond: u64 = gaps.iter().filter(|gap| gap.from_s >= own_s).map(|gap| gap.replaced).sum();
        let after = spoken(own_s);
        advice.push(Advice {
            is_warning: true,
            text: format!(
                "{beyond} of {all} sessions that came back had been away for {after} or more, and the application gave them a \
                 new session: its own timeout seems to be about {after}. Raise it there if users should find their work again \
                 (Tomcat: `session-timeout` in web.xml)"
            ),
        });
    }
    let within = |gap: &&Gap| own.is_none_or(|own_s| gap.from_s < own_s);
    let longest = gaps.iter().rev().filter(within).find(|gap| gap.kept >= SOME.min(all / 10).max(1));
    let forgotten: u64 = gaps.iter().filter(within).map(|gap| gap.forgotten).sum();
    let idle_s = seconds(limits.learned);
    if forgotten >= SOME {
        advice.push(Advice {
            is_warning: true,
            text: format!(
                "{forgotten} of {all} sessions that came back had been away for longer than `learn.idle` ({}), and were \
                 forgotten here: clients without a load-balancer cookie were guessed at. Raise `learn.idle` to the \
                 application's own timeout",
                spoken(idle_s)
            ),
        });
    } else if let Some(gap) =
        longest.filter(|gap| gap.to_s.is_none_or(|to_s| u64::from(to_s) * 4 > u64::from(idle_s) * 5))
    {
        advice.push(Advice {
            is_warning: false,
            text: format!(
                "sessions come back after {} and more, and the application still knows them, while `learn.idle` is {}: \
                 raise it to the application's own timeout",
                spoken(gap.from_s),
                spoken(idle_s)
            ),
        });
    }
    if let (Some(cookie), Some(gap)) = (limits.cookie, longest)
        && gap.to_s.is_none_or(|to_s| to_s > seconds(cookie))
    {
        advice.push(Advice {
            is_warning: true,
            text: format!(
                "sessions come back after {} and more, and the application still knows them, while \
                 `load_balancer_cookie.idle` is {}: such a cookie no longer leads home. Raise it, or leave it out",
                spoken(gap.from_s),
                spoken(seconds(cookie))
            ),
        });
    }
    advice
}

/// From which gap on the application seems to have given sessions up: beyond, almost all are replaced, and before, few.
fn own_timeout(gaps: &[Gap]) -> Option<u32> {
    let shares = |gaps: &[Gap]| {
        let kept: u64 = gaps.iter().map(|gap| gap.kept).sum();
        let replaced: u64 = gaps.iter().map(|gap| gap.replaced).sum();
        (kept, replaced)
    };
    (0..gaps.len()).find_map(|place| {
        let (before, beyond) = gaps.split_at_checked(place)?;
        let ((kept_before, replaced_before), (kept, replaced)) = (shares(before), shares(beyond));
        let first = beyond.first()?;
        let almost_all = replaced >= SOME && replaced >= 4 * kept && first.replaced > first.kept;
        (almost_all && kept_before >= 2 * replaced_before).then_some(first.from_s)
    })
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

fn spoken(seconds: u32) -> String {
    humantime::format_duration(Duration::from_secs(seconds.into())).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { learned: Duration::from_secs(1800), cookie: None };

    fn gaps(counts: &[(u32, u64, u64, u64)]) -> Vec<Gap> {
        let bounds = crate::affinity::GAPS_S;
        let to_s = |from_s: u32| bounds.iter().copied().find(|bound| *bound > from_s);
        let of = |from_s: u32| counts.iter().find(|(from, ..)| *from == from_s).copied().unwrap_or_default();
        let gap = |from_s: u32| {
            let (_, kept, replaced, forgotten) = of(from_s);
            Gap { from_s, to_s: to_s(from_s), kept, replaced, forgotten }
        };
        bounds.iter().map(|from_s| gap(*from_s)).collect()
    }

    fn said(counts: &[(u32, u64, u64, u64)], limits: Limits) -> String {
        let advice = advise(&gaps(counts), limits);
        advice.into_iter().map(|one| one.text).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn timeouts_that_fit_need_no_advice() {
        assert_eq!(said(&[(60, 500, 3, 0), (300, 200, 1, 0), (600, 90, 0, 0)], LIMITS), "");
        assert_eq!(said(&[(1800, 0, 10, 5)], LIMITS), "", "too few");
    }

    #[test]
    fn the_applications_own_timeout_is_seen() {
        let text = said(&[(60, 500, 10, 0), (600, 90, 2, 0), (900, 4, 30, 0), (1200, 0, 20, 0)], LIMITS);
        assert!(text.starts_with("50 of 656 sessions") && text.contains("seems to be about 15m"), "{text}");
        assert!(!text.contains("learn.idle"), "{text}");
    }

    #[test]
    fn a_table_that_forgets_too_early_is_seen() {
        let text = said(&[(60, 500, 0, 0), (1200, 40, 0, 0), (1800, 30, 0, 25)], LIMITS);
        assert!(text.contains("25 of 595") && text.contains("`learn.idle` (30m)"), "{text}");
        let text = said(&[(60, 500, 0, 0), (1800, 80, 0, 2)], LIMITS);
        assert!(text.contains("after 30m and more") && text.contains("`learn.idle` is 30m"), "{text}");
    }

    #[test]
    fn a_cookie_that_expires_too_early_is_seen() {
        let limits = Limits { cookie: Some(Duration::from_secs(600)), ..LIMITS };
        let text = said(&[(60, 500, 0, 0), (900, 40, 0, 0)], limits);
        assert!(
            text.contains("after 15m and more") && text.contains("`load_balancer_cookie.idle` is 10m"),
            "{text}"
        );
    }
}
