//! Incidents in words: how many, how fast, when, and what it probably was.

use std::time::{Duration, UNIX_EPOCH};

use crate::clock::Now;
use crate::pool::{Backend, State};
use crate::telemetry::Incident;

/// An incident in a sentence. `backend`: as it is now; `None`: it has left the pool.
pub(super) fn alert(
    incident: &Incident,
    paths: &[(String, u64)],
    backend: Option<&Backend>,
    now: Now,
) -> String {
    let (id, lost) = (&incident.backend, incident.lost);
    let number = match lost.total() {
        1 => "1 session".to_owned(),
        many => format!("{many} sessions"),
    };
    let within = incident.until_s.saturating_sub(incident.from_s).max(1);
    let when = format!("within {within} s at {} UTC", time_of_day(incident.from_s));
    let so_far = if incident.is_over { "" } else { " so far" };
    let under = under(paths, lost.total());
    let was_down = backend.is_some_and(|backend| backend.live().was_down_lately(now));
    if incident.restarted || lost.at_home >= lost.after_move.max(lost.no_proof) {
        let check =
            if was_down { "soon after it had been down" } else { "while its health check never failed" };
        return format!("{id} lost {number}{so_far} {when}{under} {check}: it probably restarted");
    }
    if lost.after_move >= lost.no_proof {
        let gone = match backend.map(|backend| backend.state(now)) {
            None => "it has left the pool",
            Some(State::Maintenance | State::Draining) => "it was taken out",
            Some(State::Up | State::Suspect) if was_down => "it was down",
            Some(State::Up | State::Suspect) => "they moved away from it",
            Some(State::Down) => "it is down",
        };
        return format!(
            "{number} of {id} were lost{so_far} {when}{}: {gone}, and the application keeps its sessions in memory \
             alone",
            under.trim_end_matches(',')
        );
    }
    format!(
        "{number} were lost{so_far} on {id} {when}{}: nothing proved where they lived. Their clients keep no load-balancer \
         cookie, or somebody invents ids",
        under.trim_end_matches(',')
    )
}

/// Where almost all of them are of one application of several, that is told.
fn under(paths: &[(String, u64)], total: u64) -> String {
    match paths.first() {
        Some((path, count)) if path != "/" && path != "/…" && *count == total => {
            format!(", all under {path},")
        }
        Some((path, count)) if path != "/" && path != "/…" && count * 5 >= total * 4 => {
            format!(", {count} of them under {path},")
        }
        _ => String::new(),
    }
}

fn time_of_day(unix_s: u64) -> String {
    let time = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(unix_s)).to_string();
    time.get(11..19).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::BackendId;
    use crate::telemetry::Lost;

    const NOW: Now = Now { monotonic_ms: 5_000, unix_s: 1_700_000_000 };

    fn said(lost: Lost, restarted: bool, is_over: bool, paths: &[(&str, u64)]) -> String {
        let from_s = 1_700_000_000 - 1_700_000_000 % 86_400 + 14 * 3600 + 2 * 60 + 11;
        let backend = BackendId::new("app2");
        let incident = Incident { backend, from_s, until_s: from_s + 3, lost, restarted, is_over };
        let paths: Vec<_> = paths.iter().map(|(path, count)| ((*path).to_owned(), *count)).collect();
        alert(&incident, &paths, None, NOW)
    }

    #[test]
    fn an_incident_is_told_in_a_sentence() {
        let at_home = Lost { at_home: 214, ..Lost::default() };
        assert_eq!(
            said(at_home, true, true, &[("/", 214)]),
            "app2 lost 214 sessions within 3 s at 14:02:11 UTC while its health check never failed: it probably \
             restarted"
        );
        assert_eq!(
            said(at_home, true, false, &[("/shop", 200), ("/wiki", 14)]),
            "app2 lost 214 sessions so far within 3 s at 14:02:11 UTC, 200 of them under /shop, while its health check \
             never failed: it probably restarted"
        );
        let moved = Lost { after_move: 9, no_proof: 1, at_home: 0 };
        assert!(
            said(moved, false, true, &[("/shop", 10)])
                .starts_with("10 sessions of app2 were lost within 3 s at")
        );
        let guessed = Lost { no_proof: 40, ..Lost::default() };
        assert!(said(guessed, false, true, &[]).contains("nothing proved where they lived"));
    }
}
