//! A new key for the load-balancer cookie.

use super::control::Control;
use super::refused::ChangeError;
use crate::clock::Now;
use crate::snapshot::SecretsError;

/// Why there is no new key. The one before goes on sealing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RotateError {
    /// The keys are configured, or the state folder cannot be used.
    #[error("{0}")]
    Secrets(#[from] SecretsError),
    /// Another process has taken over.
    #[error("{0}")]
    HandedOver(ChangeError),
}

impl Control {
    /// Makes a new key in the state folder, which seals from now on; all older ones open.
    ///
    /// # Errors
    /// The keys are configured, or the state folder cannot be used; nothing has changed.
    pub fn rotate_key(&self) -> Result<(), RotateError> {
        let mut world = self.world.lock();
        if world.handed_over {
            return Err(RotateError::HandedOver(ChangeError::HandedOver));
        }
        world.secrets = world.secrets.rotate(&world.file.state_dir)?;
        self.swap(&world, None, Now::read());
        Ok(())
    }
}
