//! Metrics of one pool and its backends.

use super::whole::{large, number};
use crate::clock::Now;
use crate::names::Reason;
use crate::pool::{Backend, Checked, State};
use crate::snapshot::ServedPool;
use crate::store::SharedTally;
use crate::telemetry::{
    BackendReport, BackendTraffic, CodeClass, Exposition, FailedTry, TokenFault, Traffic, Turned, family,
};

const STATES: [State; 5] = [State::Up, State::Suspect, State::Draining, State::Down, State::Maintenance];

/// Gathers what is known of a pool.
pub(super) fn gather(served: &ServedPool, now: Now, to: &mut Exposition) {
    let pool = served.pool.name().as_str();
    for backend in served.pool.backends() {
        self::backend(pool, backend, now, to);
    }
    let traffic = served.traffic();
    whole(pool, &traffic, to);
    for traffic in &traffic.backends {
        requests(pool, traffic, to);
    }
    for report in &served.sessions(now).backends {
        sessions(pool, report, to);
    }
    let learned = &served.policy.learned;
    to.level(&family::LEARNED, &[pool], number(learned.len()));
    to.level(&family::LEARNED_CAPACITY, &[pool], number(learned.capacity()));
    if let Some(room) = &served.room {
        to.level(&family::WAITING_ROOM, &[pool], number(room.line.len()));
    }
    if let Some(shared) = &served.shared {
        self::shared(pool, &shared.counts().tally(), to);
    }
}

fn backend(pool: &str, backend: &Backend, now: Now, to: &mut Exposition) {
    let (id, live, is) = (backend.id().as_str(), backend.live(), backend.state(now));
    for state in STATES {
        let level = if state == is { 1.0 } else { 0.0 };
        to.level(&family::BACKEND_STATE, &[pool, id, state.as_str()], level);
    }
    to.level(&family::BACKEND_WEIGHT, &[pool, id], f64::from(backend.weight()));
    to.level(&family::BACKEND_IN_FLIGHT, &[pool, id], f64::from(live.in_flight()));
    to.level(&family::BACKEND_WAITING, &[pool, id], number(live.waiting()));
    to.level(&family::BACKEND_NEW, &[pool, id], f64::from(live.assigned()));
    to.level(&family::BACKEND_EPOCH, &[pool, id], f64::from(backend.epoch().0));
    for met in Checked::ALL {
        to.count(&family::CHECKS, &[pool, id, met.as_str()], live.checks().of(met));
    }
}

fn whole(pool: &str, traffic: &Traffic, to: &mut Exposition) {
    for (reason, count) in Reason::ALL.iter().zip(traffic.decided) {
        to.count(&family::DECISIONS, &[pool, reason.as_str()], count);
    }
    for (turned, count) in Turned::ALL.iter().zip(traffic.refused) {
        to.count(&family::REFUSED, &[pool, turned.as_str()], count);
    }
    for (fault, count) in TokenFault::ALL.iter().zip(traffic.tokens) {
        to.count(&family::TOKENS_REFUSED, &[pool, fault.as_str()], count);
    }
}

fn requests(pool: &str, traffic: &BackendTraffic, to: &mut Exposition) {
    let id = traffic.backend.as_str();
    for (reason, by_class) in Reason::ALL.iter().zip(traffic.requests) {
        for (class, count) in CodeClass::ALL.iter().zip(by_class) {
            // Most of the 42 never occur; those that start at 0 are the ones that a rate is asked of.
            if count > 0 || *class == CodeClass::Success {
                to.count(&family::REQUESTS, &[pool, id, class.as_str(), reason.as_str()], count);
            }
        }
    }
    let phases = [
        ("queue", traffic.queue),
        ("connect", traffic.connect),
        ("first_byte", traffic.first_byte),
        ("whole", traffic.whole),
    ];
    for (phase, spread) in phases {
        to.spread(&family::DURATION, &[pool, id, phase], spread);
    }
    to.count(&family::RECEIVED, &[pool, id], traffic.received);
    to.count(&family::SENT, &[pool, id], traffic.sent);
    to.count(&family::RETRIES, &[pool, id], traffic.retries);
    for (way, count) in FailedTry::ALL.iter().zip(traffic.failed) {
        to.count(&family::FAILED_TRIES, &[pool, id, way.as_str()], count);
    }
}

fn sessions(pool: &str, report: &BackendReport, to: &mut Exposition) {
    let id = report.backend.as_str();
    to.level(&family::SESSIONS_LIVE, &[pool, id, "table"], large(report.live.learned));
    to.level(&family::SESSIONS_LIVE, &[pool, id, "token"], large(report.live.by_token));
    to.count(&family::SESSIONS_CREATED, &[pool, id], report.created);
    to.count(&family::SESSIONS_BOUND, &[pool, id], report.bound);
    to.count(&family::SESSIONS_ROTATED, &[pool, id], report.rotated);
    to.count(&family::SESSIONS_RELEASED, &[pool, id], report.released);
    to.count(&family::SESSIONS_MOVED, &[pool, id, "in"], report.moved_in);
    to.count(&family::SESSIONS_MOVED, &[pool, id, "out"], report.moved_out);
    to.count(&family::SESSIONS_LOST, &[pool, id, "after_move"], report.lost.after_move);
    to.count(&family::SESSIONS_LOST, &[pool, id, "no_proof"], report.lost.no_proof);
    to.count(&family::SESSIONS_LOST, &[pool, id, "at_home"], report.lost.at_home);
}

fn shared(pool: &str, tally: &SharedTally, to: &mut Exposition) {
    to.level(&family::SHARED_CONNECTED, &[pool], if tally.connected { 1.0 } else { 0.0 });
    let reads = [
        ("hit", tally.hits),
        ("miss", tally.misses),
        ("timeout", tally.timeouts),
        ("failure", tally.failures),
        ("skipped", tally.skipped),
    ];
    for (result, count) in reads {
        to.count(&family::SHARED_READS, &[pool, result], count);
    }
    to.count(&family::SHARED_WRITES, &[pool], tally.writes);
    to.count(&family::SHARED_WRITE_FAILURES, &[pool], tally.write_failures);
}
