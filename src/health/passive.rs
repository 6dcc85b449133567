//! The one probe that decides about a suspect backend, while requests whose session lives there wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::probe::probe_tcp;
use super::state::Observation;
use crate::clock::Now;
use crate::names::BackendIndex;
use crate::pool::Pool;

/// From one attempt to the next: a restart of a listener takes milliseconds.
const PAUSE: Duration = Duration::from_millis(25);

/// Connects until it succeeds or `hold` is over, and enters the result.
pub async fn probe_suspect(pool: Arc<Pool>, index: BackendIndex, hold: Duration) {
    let Some(backend) = pool.backend(index) else { return };
    let deadline = Instant::now() + hold;
    let alive = loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(PAUSE);
        let observation = probe_tcp(backend.address(), left).await;
        if observation == Observation::Pass {
            break true;
        }
        if Instant::now() + PAUSE >= deadline {
            // Whom we could not even ask, we do not condemn: the next failed request starts another probe.
            break observation == Observation::Untried;
        }
        sleep(PAUSE).await;
    };
    backend.live().probe_result(alive, Now::read(), pool.ejection());
    let (pool, id) = (pool.name(), backend.id());
    if alive {
        log::info!("backend {pool}/{id} is no longer suspect: a connection had failed, the probe did not");
    } else {
        log::warn!("backend {pool}/{id} is down: connections are refused, reset, or time out");
    }
}
