//! Putting the file in force by whatever it takes: a reload, or another process.

use super::control::Control;
use super::plan::Plan;
use super::refused::ReloadError;

/// How the file was put in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Applied {
    /// By a reload: this has changed.
    Reloaded(Plan),
    /// By another process, which serves.
    Upgraded {
        /// Its process id.
        pid: u32,
    },
}

impl Control {
    /// Reloads the file, or starts another process for what a reload cannot change. Blocks.
    ///
    /// # Errors
    /// It was refused, and nothing has changed.
    pub fn reload_or_upgrade(&self) -> Result<Applied, ReloadError> {
        match self.reload() {
            Err(ReloadError::NeedsAnotherProcess(what)) if self.can_upgrade() => {
                log::info!("{what}: another process will take over, which a reload cannot do without");
                let upgraded = self.upgrade().map(|pid| Applied::Upgraded { pid });
                upgraded.map_err(|source| ReloadError::Upgrade { what, source })
            }
            reloaded => reloaded.map(Applied::Reloaded),
        }
    }
}
