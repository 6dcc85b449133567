//! HAProxy's command line on its two sockets: that of the workers and that of their master.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::contender::Failure;

/// The command line answers at once, or its process is about to end.
const TIMEOUT: Duration = Duration::from_secs(2);
/// In the flags of "show peers": the table of a predecessor, and that of the other replicas, are learnt or
/// given up. src/peers.c calls them PEERS_F_RESYNC_LOCAL and PEERS_F_RESYNC_REMOTE.
const LEARNT: u32 = 0x3;

/// One command, and all that HAProxy answers.
pub(super) fn ask(socket: &Path, command: &str) -> Result<String, Failure> {
    let mut stream = UnixStream::connect(socket)
        .map_err(|error| format!("HAProxy's socket {} does not answer: {error}", socket.display()))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    writeln!(stream, "{command}")?;
    // The master's socket stays open until its client has no more to say.
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The process ids of all workers, old ones too.
pub(super) fn workers(master: &Path) -> Result<Vec<String>, Failure> {
    let table = ask(master, "show proc")?;
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    Ok(rows
        .filter_map(|row| match row[..] {
            [pid, "worker", ..] => Some(pid.to_owned()),
            _ => None,
        })
        .collect())
}

/// Whether a worker serves only what it has already; one that is gone does not answer.
pub(super) fn has_stopped(master: &Path, pid: &str) -> bool {
    let facts = ask(master, &format!("@!{pid} show info")).unwrap_or_default();
    !facts.contains("Stopping: 0")
}

/// Whether the table is complete, as far as it can be.
pub(super) fn knows_table(socket: &Path) -> bool {
    let peers = ask(socket, "show peers").unwrap_or_default();
    let flags = peers.split_once("flags=0x").and_then(|(_, rest)| rest.split(' ').next());
    let flags = flags.and_then(|flags| u32::from_str_radix(flags, 16).ok()).unwrap_or_default();
    flags & LEARNT == LEARNT
}
