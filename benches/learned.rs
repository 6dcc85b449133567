//! Memory of the learned table: `cargo bench --bench learned` fills it with 1 000 000 sessions and prints the growth
//! of resident memory for each. The promise is at most 64 bytes.

use std::time::{Duration, Instant};

use steadfast::affinity::{Learned, Origin, SessionDigest};
use steadfast::clock::Now;
use steadfast::names::BackendTag;
use steadfast::pool::HashSeed;

const SESSIONS: u64 = 1_000_000;

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn main() {
    let now = Now { monotonic_ms: 0, unix_s: 1_700_000_000 };
    let seed = HashSeed([3; 16]);
    let table = Learned::new(1_000_000, Duration::from_secs(1800));
    let before = resident();
    let start = Instant::now();
    for n in 0..SESSIONS {
        table.learn(&SessionDigest::of(&seed, &n.to_le_bytes()), BackendTag(n), Origin::Application, now);
    }
    let learning = start.elapsed();
    let bytes = resident().saturating_sub(before) / SESSIONS;
    let start = Instant::now();
    let found = (0..SESSIONS)
        .filter(|n| table.find(&SessionDigest::of(&seed, &n.to_le_bytes()), now).is_some())
        .count();
    println!(
        "learned table: {} sessions, {found} found, {bytes} bytes of resident memory each (goal: at most 64)",
        table.len()
    );
    println!(
        "learn {} ns, find {} ns each, digest included",
        learning.as_nanos() / u128::from(SESSIONS),
        start.elapsed().as_nanos() / u128::from(SESSIONS)
    );
}

/// Resident memory in bytes; 0 where the system does not tell.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap_or(0) * 1024
}
