//! The connection to the backend: to the chosen one, or, after a failure, to whom is decided then.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Once};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::connect as connect_to;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::choose::{admit, settle};
use super::options;
use super::side::Side;
use crate::affinity::{Decision, Flow, Refusal};
use crate::clock::{Exact, Now, Stamp};
use crate::health::{self, Knock};
use crate::names::{BackendAddress, BackendIndex};
use crate::pool::{Failure, Permit};
use crate::snapshot::{ServedPool, ServedTcp};
use crate::telemetry::{FailedTry, Times};

/// A connection to a backend.
pub(super) struct Connected {
    pub(super) backend: Side,
    pub(super) decision: Decision,
    /// Counts it in at its backend.
    pub(super) permit: Option<Permit>,
    /// Tries after the first.
    pub(super) retries: u32,
    /// How long it took to be chosen and connected to.
    pub(super) times: Times,
    /// Since when it stands.
    pub(super) stands: Exact,
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
/// to another one, and one that is at home there waits for the probe, and moves only if the backend is gone. `client` is
/// its address, if it has one.
///
/// # Errors
/// Nobody can serve the client.
pub(super) async fn connect(
    served: &Arc<ServedPool>,
    flow: &Flow,
    client: Option<IpAddr>,
    listener: &ServedTcp,
    now: Now,
) -> Result<Connected, NotConnected> {
    let mut now = now;
    let from = client.filter(|_| served.from_client).map(|client| client.to_canonical());
    let (arrived, mut retries) = (Stamp::read(), 0);
    loop {
        let decision = settle(served, flow, now).await.map_err(NotConnected::Refused)?;
        let (decision, permit) = admit(served, flow, decision).await.map_err(NotConnected::Refused)?;
        let Some(backend) = served.pool.backend(decision.backend) else {
            return Err(NotConnected::Refused(Refusal::NoBackend));
        };
        let placed = Stamp::read();
        match open(backend.address(), from, listener, served.connect_timeout).await {
            Ok(stream) => {
                let stands = Exact::read();
                let (queue, connect) = (placed.since(arrived), stands.stamp.since(placed));
                let times = Times { queue: Some(queue), connect: Some(connect), ..Times::default() };
                return Ok(Connected { backend: stream, decision, permit, retries, times, stands });
            }
            Err(error) => {
                let ours = health::is_our_shortage(&error);
                if !ours {
                    let late = error.kind() == io::ErrorKind::TimedOut;
                    let way = if late { FailedTry::Timeout } else { FailedTry::Connect };
                    served.meter.try_failed(decision.backend, way);
                    suspect(served, decision.backend, Knock::Tcp);
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

async fn open(
    address: &BackendAddress,
    from: Option<IpAddr>,
    listener: &ServedTcp,
    limit: Duration,
) -> io::Result<Side> {
    let address = match address {
        BackendAddress::Ip(address) => *address,
        BackendAddress::Unix(path) => {
            let Ok(connected) = timeout(limit, UnixStream::connect(path)).await else {
                return Err(io::ErrorKind::TimedOut.into());
            };
            return connected.map(Side::Unix);
        }
    };
    // Nobody has an address of the other family.
    let from = from.filter(|from| from.is_ipv4() == address.is_ipv4());
    let Ok(connected) = timeout(limit, reach(address, from)).await else {
        return Err(io::ErrorKind::TimedOut.into());
    };
    let stream = connected?;
    options::set(listener.options, &stream);
    Ok(Side::Tcp(stream))
}

/// Connects, without the calls that most connections can do without.
async fn reach(to: SocketAddr, from: Option<IpAddr>) -> io::Result<TcpStream> {
    let kind = Type::STREAM.nonblocking();
    let socket = Socket::new(Domain::for_address(to), kind, Some(Protocol::TCP))?;
    let _ = socket.set_tcp_nodelay(true);
    if let Some(from) = from {
        bind_to_client(&socket, from)?;
    }
    match connect_to(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let stream = TcpStream::from_std(socket.into())?;
    if stream.ready(Interest::WRITABLE).await?.is_write_closed()
        && let Some(error) = stream.take_error()?
    {
        return Err(error);
    }
    Ok(stream)
}

/// Has a socket send from an address that need not be ours: what is sent back to it must come by here.
fn bind_to_client(socket: &Socket, from: IpAddr) -> io::Result<()> {
    let allowed = match from {
        IpAddr::V4(_) => socket.set_ip_transparent_v4(true),
        IpAddr::V6(_) => socket.set_ip_transparent_v6(true),
    };
    if let Err(error) = allowed {
        static SAID: Once = Once::new();
        SAID.call_once(|| log::error!("`source: client` takes the capability CAP_NET_ADMIN: {error}"));
        return Err(error);
    }
    socket.bind(&SocketAddr::new(from, 0).into())
}

/// Tells the backend's live state; whoever is the first starts the one probe.
pub(super) fn suspect(served: &ServedPool, index: BackendIndex, knock: Knock) {
    let pool = &served.pool;
    let Some(backend) = pool.backend(index) else { return };
    match backend.live().connection_failed(Now::read(), pool.ejection()) {
        Failure::FirstSuspicion => {
            // Also where clients do not wait, somebody must decide.
            let hold = served.policy.suspect_hold;
            tokio::spawn(health::probe_suspect(Arc::clone(pool), index, hold, knock));
        }
        Failure::Ejected => {
            let (pool, id) = (pool.name(), backend.id());
            log::warn!("backend {pool}/{id} is down: connections failed again and again");
        }
        Failure::Counted => {}
    }
}
