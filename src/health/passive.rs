//! The one probe that decides about a suspect backend, while requests whose session lives there wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::datagram::knock_udp;
use super::exchange::Exchange;
use super::probe::probe_tcp;
use super::state::Observation;
use crate::clock::Now;
use crate::names::{BackendAddress, BackendIndex};
use crate::pool::Pool;

/// From one attempt to the next: a restart of a listener takes milliseconds.
const PAUSE: Duration = Duration::from_millis(25);

/// The same by UDP, in which hosts answer only a few knocks in a second that nobody is there.
const UDP_PAUSE: Duration = Duration::from_millis(80);

/// How to find out whether anybody is there.
#[derive(Clone, Debug)]
pub enum Knock {
    /// By a connection.
    Tcp,
    /// By what the pool's check asks by UDP; else by an empty datagram: who is there is silent, and who is not is told so.
    Udp(Option<Arc<Exchange>>),
}

impl Knock {
    async fn knock(&self, address: &BackendAddress, left: Duration) -> Observation {
        match self {
            Self::Tcp => probe_tcp(address, left).await,
            Self::Udp(None) => match address.ip() {
                Some(address) => knock_udp(address, UDP_PAUSE.min(left)).await,
                None => Observation::Unreachable,
            },
            // Twice at least: a datagram may be lost.
            Self::Udp(Some(exchange)) => exchange.look(address, (left / 2).max(UDP_PAUSE)).await,
        }
    }

    fn pause(&self) -> Duration {
        match self {
            Self::Tcp => PAUSE,
            Self::Udp(_) => UDP_PAUSE,
        }
    }
}

/// Knocks until somebody is there or `hold` is over, and enters the result.
pub async fn probe_suspect(pool: Arc<Pool>, index: BackendIndex, hold: Duration, knock: Knock) {
    let Some(backend) = pool.backend(index) else { return };
    let (deadline, pause) = (Instant::now() + hold, knock.pause());
    let alive = loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(pause);
        let observation = knock.knock(backend.address(), left).await;
        if observation == Observation::Pass {
            break true;
        }
        if Instant::now() + pause >= deadline {
            // Whom we could not even ask, we do not condemn: the next failed request starts another probe.
            break observation == Observation::Untried;
        }
        sleep(pause).await;
    };
    backend.live().probe_result(alive, Now::read(), pool.ejection());
    let (pool, id) = (pool.name(), backend.id());
    if alive {
        log::info!("backend {pool}/{id} is no longer suspect: a connection had failed, the probe did not");
    } else {
        log::warn!("backend {pool}/{id} is down: connections are refused, reset, or time out");
    }
}
