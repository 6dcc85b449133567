//! The connection to the backend: to the chosen one, or, after a failure, to whom is decided then.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt::set_tcp_user_timeout;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::choose::{admit, settle};
use crate::affinity::{Decision, Flow, Refusal};
use crate::clock::{Now, Stamp, millis};
use crate::health;
use crate::names::BackendIndex;
use crate::pool::{Failure, Permit};
use crate::snapshot::{ServedPool, ServedTcp};
use crate::telemetry::{FailedTry, Times};

/// A connection to a backend.
pub(super) struct Connected {
    pub(super) backend: TcpStream,
    pub(super) decision: Decision,
    /// Counts it in at its backend.
    pub(super) permit: Option<Permit>,
    /// Tries after the first.
    pub(super) retries: u32,
    /// How long it took to be chosen and connected to.
    pub(super) times: Times,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotConnected {
    #[error("refused: {}", .0.as_str())]
    Refused(Refusal),
    #[error("backend {backend} cannot be reached: {source}")]
    Failed { backend: String, source: io::Error },
}

/// Decides and connects. A failed connect makes the backend suspect; then it is decided anew: a client that nobody knows goes
/// to another one, and one that is at home there waits for the probe, and moves only if the backend is gone.
///
/// # Errors
/// Nobody can serve the client.
pub(super) async fn connect(
    served: &Arc<ServedPool>,
    flow: &Flow,
    listener: &ServedTcp,
    now: Now,
) -> Result<Connected, NotConnected> {
    let mut now = now;
    let (arrived, mut retries) = (Stamp::read(), 0);
    loop {
        let decision = settle(served, flow, now).await.map_err(NotConnected::Refused)?;
        let (decision, permit) = admit(served, flow, decision).await.map_err(NotConnected::Refused)?;
        let Some(backend) = served.pool.backend(decision.backend) else {
            return Err(NotConnected::Refused(Refusal::NoBackend));
        };
        let placed = Stamp::read();
        match open(backend.address(), listener, served.connect_timeout).await {
            Ok(stream) => {
                let (queue, connect) = (placed.since(arrived), Stamp::read().since(placed));
                let times = Times { queue: Some(queue), connect: Some(connect), ..Times::default() };
                return Ok(Connected { backend: stream, decision, permit, retries, times });
            }
            Err(error) => {
                let ours = health::is_our_shortage(&error);
                if !ours {
                    let late = error.kind() == io::ErrorKind::TimedOut;
                    let way = if late { FailedTry::Timeout } else { FailedTry::Connect };
                    served.meter.try_failed(decision.backend, way);
                    suspect(served, decision.backend);
                }
                if ours || !served.retries.on_connect || retries >= served.retries.attempts {
                    let backend = backend.id().to_string();
                    return Err(NotConnected::Failed { backend, source: error });
                }
            }
        }
        retries += 1;
        now = Now::read();
    }
}

async fn open(address: SocketAddr, listener: &ServedTcp, limit: Duration) -> io::Result<TcpStream> {
    let Ok(connected) = timeout(limit, TcpStream::connect(address)).await else {
        return Err(io::ErrorKind::TimedOut.into());
    };
    let stream = connected?;
    let _ = stream.set_nodelay(true);
    options(&stream, listener);
    Ok(stream)
}

/// What the listener wants of both sides' sockets. None of it is worth a connection.
pub(super) fn options(stream: &TcpStream, listener: &ServedTcp) {
    if let Some(after) = listener.keepalive {
        let _ = SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(after));
    }
    if let Some(limit) = listener.user_timeout {
        let _ = set_tcp_user_timeout(stream, u32::try_from(millis(limit)).unwrap_or(u32::MAX));
    }
}

/// Tells the backend's live state; whoever is the first starts the one probe.
fn suspect(served: &ServedPool, index: BackendIndex) {
    let pool = &served.pool;
    let Some(backend) = pool.backend(index) else { return };
    match backend.live().connection_failed(Now::read(), pool.ejection()) {
        Failure::FirstSuspicion => {
            // Also where clients do not wait, somebody must decide.
            let hold = served.policy.suspect_hold;
            tokio::spawn(health::probe_suspect(Arc::clone(pool), index, hold));
        }
        Failure::Ejected => {
            let (pool, id) = (pool.name(), backend.id());
            log::warn!("backend {pool}/{id} is down: connections failed again and again");
        }
        Failure::Counted => {}
    }
}
