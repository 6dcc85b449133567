//! Metrics of the process, its life, and its listeners.

use std::sync::atomic::Ordering;

use super::super::app::Api;
use crate::clock::Now;
use crate::lifecycle::Past;
use crate::listen::{Counts, DatagramCounts};
use crate::snapshot::{ServedLayer4, ServedListener, Snapshot};
use crate::telemetry::{CodeClass, Exposition, LimitedBy, Process, family};

/// Gathers what does not belong to a pool.
pub(super) fn gather(api: &Api, snapshot: &Snapshot, to: &mut Exposition) {
    to.level(&family::BUILD, &[env!("CARGO_PKG_VERSION")], 1.0);
    for listener in &api.listeners {
        doors(listener.name.as_str(), &listener.counts, to);
        to.count(
            &family::LISTEN_OVER_CLIENT_LIMIT,
            &[listener.name.as_str()],
            listener.facts.clients.refused(),
        );
    }
    for listener in &snapshot.listeners {
        certificates(listener, Now::read(), to);
        let handle = api.listeners.iter().find(|handle| handle.name == listener.name);
        if let (Some(ServedLayer4::Udp(_)), Some(handle)) = (&listener.layer4, handle) {
            datagrams(handle.name.as_str(), &handle.counts.datagrams, to);
        }
        for class in CodeClass::ALL {
            to.count(&family::ANSWERED, &[listener.name.as_str(), class.as_str()], listener.meter.of(class));
        }
        for by in LimitedBy::ALL {
            let count = listener.meter.limits().limited_by(by);
            to.count(&family::LIMITED, &[listener.name.as_str(), by.as_str()], count);
        }
        for route in listener.route_limits.iter().filter(|route| !route.requests.is_empty()) {
            for by in LimitedBy::ALL {
                let labels = [listener.name.as_str(), route.route.as_str(), by.as_str()];
                to.count(&family::ROUTE_LIMITED, &labels, route.meter.limited_by(by));
            }
        }
    }
    for writer in snapshot.logs.writers() {
        let (log, lines) = (writer.destination().to_string(), writer.lines());
        to.count(&family::LOG_LINES, &[&log], lines.written);
        to.count(&family::LOG_DROPPED, &[&log, "full"], lines.dropped_full);
        to.count(&family::LOG_DROPPED, &[&log, "failed"], lines.dropped_failed);
    }
    let spans = api.spans.counts();
    to.count(&family::SPANS, &[], spans.exported);
    to.count(&family::SPANS_DROPPED, &["full"], spans.dropped_full);
    to.count(&family::SPANS_DROPPED, &["failed"], spans.dropped_failed);
    life(&api.control.past(), to);
    to.level(&family::DIFFERENCES, &[], number(api.control.differences().len()));
    process(&Process::read(), to);
}

fn doors(name: &str, counts: &Counts, to: &mut Exposition) {
    let of = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    to.level(&family::LISTEN_CONNECTIONS, &[name], number(counts.open()));
    to.count(&family::LISTEN_ACCEPTED, &[name], of(&counts.accepted));
    to.count(&family::LISTEN_OVER_LIMIT, &[name], of(&counts.over_limit));
    to.count(&family::LISTEN_REJECTED, &[name, "malformed"], of(&counts.rejected));
    to.count(&family::LISTEN_REJECTED, &[name, "slow"], of(&counts.timed_out));
    to.count(&family::LISTEN_REJECTED, &[name, "unparsed"], of(&counts.refused_unseen));
}

fn datagrams(name: &str, counts: &DatagramCounts, to: &mut Exposition) {
    let of = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    to.count(&family::DATAGRAMS, &[name, "received"], of(&counts.received));
    to.count(&family::DATAGRAMS, &[name, "sent"], of(&counts.sent));
    to.count(&family::DATAGRAMS_DROPPED, &[name, "rate"], of(&counts.over_rate));
    to.count(&family::DATAGRAMS_DROPPED, &[name, "homeless"], of(&counts.homeless));
    to.count(&family::DATAGRAMS_DROPPED, &[name, "waiting"], of(&counts.over_waiting));
    to.count(&family::DATAGRAMS_DROPPED, &[name, "unsent"], of(&counts.unsent));
}

fn certificates(listener: &ServedListener, now: Now, to: &mut Exposition) {
    for (position, (name, expires_s)) in listener.certificates.iter().enumerate() {
        let labels = [listener.name.as_str(), &position.to_string(), name.as_str()];
        let now_s = i64::try_from(now.unix_s).unwrap_or(i64::MAX);
        let expires = f64::from(i32::try_from(*expires_s / 60).unwrap_or(i32::MAX)) * 60.0;
        to.level(&family::CERTIFICATE, &labels, expires);
        let left_min = i32::try_from((expires_s.saturating_sub(now_s)) / 60).unwrap_or(i32::MAX);
        to.level(&family::CERTIFICATE_DAYS, &labels, f64::from(left_min) / (24.0 * 60.0));
    }
}

fn life(past: &Past, to: &mut Exposition) {
    to.count(&family::RELOADS, &["done"], past.reloaded);
    to.count(&family::RELOADS, &["refused"], past.reloads_refused);
    to.level(&family::RELOAD_SUCCESS, &[], if past.last_refused { 0.0 } else { 1.0 });
    to.level(&family::RELOAD_TIME, &[], large(past.in_force_since_s));
    to.count(&family::UPGRADES, &["done"], past.upgraded);
    to.count(&family::UPGRADES, &["refused"], past.upgrades_refused);
}

fn process(process: &Process, to: &mut Exposition) {
    if let Some(seconds) = process.cpu_s {
        to.time(&family::CPU, &[], seconds);
    }
    let levels = [
        (&family::MEMORY, process.resident.map(large)),
        (&family::VIRTUAL_MEMORY, process.virtual_size.map(large)),
        (&family::OPEN_FDS, process.open_files.map(large)),
        (&family::MAX_FDS, process.most_files.map(large)),
        (&family::THREADS, process.threads.map(large)),
        (&family::START_TIME, process.started_s),
    ];
    for (family, level) in levels {
        if let Some(level) = level {
            to.level(family, &[], level);
        }
    }
}

/// A count as a level.
pub(super) fn number(count: usize) -> f64 {
    u64::try_from(count).map_or(f64::INFINITY, large)
}

/// A large count as a level.
#[expect(
    clippy::cast_precision_loss,
    reason = "bytes and seconds are far below 2^52; a limit without end may be above"
)]
pub(super) fn large(count: u64) -> f64 {
    count as f64
}
