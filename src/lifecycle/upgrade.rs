//! Upgrade: another process, of the binary that is on the disk now, takes over without losing a request or a session.
//!
//! The process starts its own successor with its own arguments, and waits until that one serves (see
//! [`handover`](super::handover)). Whatever goes wrong before that is told, and changes nothing.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use parking_lot::Mutex;

use super::handover::{Giver, Outcome, SOCKET_VARIABLE};

/// From one look at the successor to the next.
const TURN: Duration = Duration::from_millis(10);
/// A successor that does not serve after so many turns is stopped: 90 seconds.
const TURNS: u32 = 9_000;

/// Starts successors.
pub(crate) struct Upgrader {
    program: PathBuf,
    arguments: Vec<OsString>,
    giver: Giver,
    one_at_a_time: Mutex<()>,
}

impl std::fmt::Debug for Upgrader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upgrader").field("program", &self.program).finish_non_exhaustive()
    }
}

/// Why no other process took over. This one goes on as before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// One is under way.
    #[error("an upgrade is under way already")]
    Busy,
    /// Another process has taken over.
    #[error("another process has taken over, and this one only finishes what runs: ask the other one")]
    HandedOver,
    /// The program that embeds the balancer runs it beside itself.
    #[error("this balancer is part of another program, which would have to be started anew")]
    Embedded,
    /// The program cannot be started.
    #[error("cannot start {program}: {source}; is the new binary in its place, and executable?")]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The successor ended, or refused.
    #[error("the new process could not take over: {0}")]
    Failed(String),
    /// The successor does not get ready.
    #[error("the new process was not ready within 90 seconds, and was stopped")]
    TooSlow,
}

impl Upgrader {
    /// Starts successors as this process was started.
    ///
    /// # Errors
    /// The system does not tell where the program is.
    pub(crate) fn new(giver: Giver) -> std::io::Result<Self> {
        // Asked now: once another binary is in its place, the system tells a name that does not exist.
        let program = std::env::current_exe()?;
        let arguments = std::env::args_os().skip(1).collect();
        Ok(Self { program, arguments, giver, one_at_a_time: Mutex::new(()) })
    }

    /// Starts a successor, and waits until it serves; gives its process id. Blocks.
    ///
    /// # Errors
    /// It did not take over, and this process goes on.
    pub(crate) fn upgrade(&self) -> Result<u32, UpgradeError> {
        let Some(_only) = self.one_at_a_time.try_lock() else { return Err(UpgradeError::Busy) };
        let _ = self.giver.take_outcome();
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env(SOCKET_VARIABLE, self.giver.path())
            // The watchdog is to watch the successor as it has watched this process.
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::null())
            .spawn()
            .map_err(|source| UpgradeError::Start { program: self.program.clone(), source })?;
        for _ in 0..TURNS {
            match self.giver.take_outcome() {
                Some(Outcome::Done { pid }) => return Ok(pid),
                Some(Outcome::Failed(reason)) => return Err(UpgradeError::Failed(end(child, reason))),
                None => {}
            }
            match child.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => {
                    // It may have said why with its last breath.
                    std::thread::sleep(TURN * 10);
                    let reason = match self.giver.take_outcome() {
                        Some(Outcome::Failed(reason)) => reason,
                        Some(Outcome::Done { .. }) | None => {
                            format!("it ended with {status}; its log says why")
                        }
                    };
                    return Err(UpgradeError::Failed(reason));
                }
                Err(error) => return Err(UpgradeError::Failed(end(child, error.to_string()))),
            }
            std::thread::sleep(TURN);
        }
        end(child, String::new());
        Err(UpgradeError::TooSlow)
    }
}

/// A successor that came to nothing must not go on by itself.
fn end(mut child: Child, reason: String) -> String {
    if child.try_wait().is_ok_and(|ended| ended.is_none()) {
        std::thread::sleep(TURN * 10);
        let _ = child.kill();
    }
    let _ = child.wait();
    reason
}
