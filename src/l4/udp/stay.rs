//! A session's stay at one backend: decided upon, admitted, connected, counted.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::batch::{Datagrams, Unsent};
use super::lane::Lane;
use super::session::{Kept, Session};
use super::sessions::Key;
use super::upstream::Upstream;
use crate::affinity::{Flow, Origin, Refusal};
use crate::clock::{Exact, Now, Stamp};
use crate::health;
use crate::l4::choose::{admit, settle};
use crate::l4::connect::suspect;
use crate::l4::running::{Moved, Running};
use crate::l4::ties::Tied;
use crate::listen::{CarriedSession, SessionRecord};
use crate::names::{BackendId, BackendIndex, BackendTag, PoolName, Reason};
use crate::pool::{Backend, Live, Permit};
use crate::snapshot::{ServedLayer4, ServedPool, ServedUdp, Snapshot};
use crate::telemetry::{CodeClass, FailedTry, Times};

/// A session's stay at one backend. Keeps names instead of the snapshot that it began with.
pub(super) struct Stay {
    upstream: Upstream,
    moved: Arc<Moved>,
    pool: PoolName,
    backend: BackendId,
    tag: BackendTag,
    address: SocketAddr,
    live: Arc<Live>,
    flow: Flow,
    /// The listener's idle time for a client that is proven.
    idle: Duration,
    answered: Cell<bool>,
    /// Since it was last asked whether it has.
    lately: Cell<bool>,
    /// The only datagram that was sent, until there is an answer or another one.
    first: RefCell<Option<Kept>>,
    running: RefCell<Running>,
    tied: Tied,
    _permit: Option<Permit>,
}

/// What a stay begins with.
pub(super) struct Begun {
    pub(super) upstream: Upstream,
    pub(super) address: SocketAddr,
    pub(super) flow: Flow,
    pub(super) permit: Option<Permit>,
    pub(super) reason: Reason,
    pub(super) retries: u32,
    /// How long its session has waited for it.
    pub(super) queue: Option<Duration>,
    pub(super) arrived: Stamp,
    /// What has passed already.
    pub(super) moved: Moved,
    pub(super) answered: bool,
}

/// Why a session has no backend.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoStay {
    /// The listener or its pool is no longer in the configuration.
    #[error("its listener is gone")]
    Gone,
    #[error("refused: {}", .0.as_str())]
    Refused(Refusal),
    #[error("backend {backend} cannot be reached: {source}")]
    Failed { backend: BackendId, source: io::Error },
    #[error("backend {0} refuses it again and again")]
    Unwanted(BackendId),
}

/// What a session has gone through before it looks for a backend.
#[derive(Default)]
pub(super) struct Past {
    /// Where it was refused last.
    pub(super) stay: Option<Rc<Stay>>,
    /// Refusals without an answer in between.
    pub(super) refusals: u32,
}

/// The listener and its pool.
pub(super) fn served_by<'s>(
    lane: &Lane,
    snapshot: &'s Snapshot,
) -> Option<(&'s ServedUdp, &'s Arc<ServedPool>)> {
    match snapshot.listeners.get(lane.gate.facts.index)?.layer4.as_ref()? {
        ServedLayer4::Udp(udp) => Some((udp, snapshot.pool(udp.pool)?)),
        ServedLayer4::Tcp(_) => None,
    }
}

/// Decides where a session goes, and opens the way. Where it was refused before, it is decided anew: a client that nobody knows
/// goes to another backend, one that is at home waits for the probe, and moves only if its backend is gone.
///
/// # Errors
/// Nobody can serve it.
pub(super) async fn begin(
    lane: &Lane,
    session: &Session,
    past: &mut Past,
    arrived: Stamp,
) -> Result<Rc<Stay>, NoStay> {
    let snapshot = lane.gate.current.load();
    let (listener, served) = served_by(lane, &snapshot).ok_or(NoStay::Gone)?;
    let flows = served.flows.as_ref().ok_or(NoStay::Gone)?;
    let by_address = flows.by_address(session.key().client.ip(), served.pool.seed());
    let flow = match session.key().named {
        Some(backend) => by_address.with_connection_id_of(backend),
        None => by_address,
    };
    let pool = &served.pool;
    if let Some(stay) = &past.stay
        && let Some(index) = pool.find(stay.backend.as_str())
    {
        served.meter.try_failed(index, FailedTry::Connect);
        suspect(served, index, served.udp_knock.clone());
        if past.refusals > served.retries.attempts {
            return Err(NoStay::Unwanted(stay.backend.clone()));
        }
    }
    loop {
        let decision = settle(served, &flow, Now::read()).await.map_err(NoStay::Refused)?;
        let (decision, permit) = admit(served, &flow, decision).await.map_err(NoStay::Refused)?;
        let backend = pool.backend(decision.backend).ok_or(NoStay::Refused(Refusal::NoBackend))?;
        let address = backend.address().ip().ok_or(NoStay::Refused(Refusal::NoBackend))?;
        if let Some(before) = past.stay.take()
            && before.backend == *backend.id()
            && before.address == address
        {
            // It has answered the probe: the same way, and for the backend the same client.
            return Ok(before);
        }
        let placed = Stamp::read();
        match Upstream::connect(address, false) {
            Ok(upstream) => {
                let at = Exact::read();
                let now = at.now;
                let note = flow.note(&decision, &served.policy, pool, Origin::Client, now);
                lane.gate.served(served, backend, &decision, note, past.refusals, (arrived, at));
                let begun = Begun {
                    upstream,
                    address,
                    flow,
                    permit,
                    reason: decision.reason,
                    retries: past.refusals,
                    queue: Some(placed.since(arrived)),
                    arrived,
                    moved: Moved::default(),
                    answered: false,
                };
                return Ok(Stay::new(lane, session, (listener, served, backend), begun, now));
            }
            Err(source) => failed(served, decision.backend, backend, past, source)?,
        }
    }
}

/// Goes on after a socket could not be had.
fn failed(
    served: &ServedPool,
    index: BackendIndex,
    backend: &Backend,
    past: &mut Past,
    source: io::Error,
) -> Result<(), NoStay> {
    past.refusals += 1;
    let ours = health::is_our_shortage(&source);
    if !ours {
        served.meter.try_failed(index, FailedTry::Connect);
        suspect(served, index, served.udp_knock.clone());
    }
    if ours || past.refusals > served.retries.attempts {
        return Err(NoStay::Failed { backend: backend.id().clone(), source });
    }
    Ok(())
}

impl Stay {
    /// A stay at this backend, in the listener's and its pool's present state.
    pub(super) fn new(
        lane: &Lane,
        session: &Session,
        (listener, served, backend): (&ServedUdp, &ServedPool, &Backend),
        begun: Begun,
        now: Now,
    ) -> Rc<Self> {
        let Begun { upstream, address, flow, permit, reason, retries, queue, arrived, moved, answered } =
            begun;
        let moved = Arc::new(moved);
        let idle = if session.is_proven() { listener.idle } else { listener.unproven };
        let tied = lane.gate.ties.enter(served, backend, flow, Arc::clone(&moved), idle, now);
        tied.follow_address();
        if let Some(task) = session.task() {
            tied.runs(task.clone());
        }
        let running = Running {
            current: Arc::clone(&lane.gate.current),
            pool: served.pool.name().clone(),
            backend: backend.id().clone(),
            reason,
            retries,
            times: Times { queue, ..Times::default() },
            arrived,
            moved: Arc::clone(&moved),
            class: if answered { CodeClass::Success } else { CodeClass::None },
            handed_over: false,
        };
        Rc::new(Self {
            upstream,
            moved,
            pool: served.pool.name().clone(),
            backend: backend.id().clone(),
            tag: backend.tag(),
            address,
            live: Arc::clone(backend.live()),
            flow,
            idle: listener.idle,
            answered: Cell::new(answered),
            lately: Cell::new(false),
            first: RefCell::default(),
            running: RefCell::new(running),
            tied,
            _permit: permit,
        })
    }

    /// Ends here without being counted, as another process goes on with it; gives that its socket.
    ///
    /// # Errors
    /// The socket cannot be had.
    pub(super) fn hand_over(self, key: &Key, proven: bool, lane: &Lane) -> io::Result<CarriedSession> {
        let mut running = self.running.into_inner();
        let (socket, many) = self.upstream.into_socket()?;
        let record = SessionRecord {
            listener: lane.gate.facts.name.clone(),
            lane: lane.number,
            client: key.client,
            local: key.local,
            named: key.named.map(|tag| tag.0),
            pool: self.pool,
            backend: self.backend,
            to: self.address,
            from: socket.local_addr()?,
            many,
            reason: running.reason,
            retries: running.retries,
            proven,
            answered: self.answered.get(),
            up: self.moved.up.load(Ordering::Relaxed),
            down: self.moved.down.load(Ordering::Relaxed),
            datagrams: self.moved.datagrams.load(Ordering::Relaxed),
            age: Stamp::read().since(running.arrived),
            quiet: self.tied.quiet(Now::read()),
        };
        running.handed_over = true;
        Ok(CarriedSession { record, socket, slot: None })
    }

    pub(super) fn tied(&self) -> &Tied {
        &self.tied
    }

    pub(super) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    pub(super) fn backend(&self) -> BackendTag {
        self.tag
    }

    /// Sends to the backend, and counts it.
    ///
    /// # Errors
    /// What could not be sent.
    pub(super) fn send<'b>(&self, datagrams: Datagrams<'b>) -> Result<(), Unsent<'b>> {
        let sent = self.upstream.send(datagrams);
        let unsent = sent.as_ref().err().map_or(0, |unsent| unsent.rest.bytes.len());
        let bytes = datagrams.bytes.len() - unsent;
        if sent.is_ok() || bytes > 0 {
            self.first.take();
            self.moved.up.fetch_add(bytes.try_into().unwrap_or(0), Ordering::Relaxed);
            self.moved.datagrams.fetch_add(1, Ordering::Relaxed);
        }
        sent
    }

    /// Counts what the backend has sent: it lives, and what it was sent has arrived.
    pub(super) fn received(&self, datagrams: Datagrams<'_>, now: Now) {
        self.moved.down.fetch_add(datagrams.bytes.len().try_into().unwrap_or(0), Ordering::Relaxed);
        self.moved.datagrams.fetch_add(1, Ordering::Relaxed);
        self.live.request_succeeded(now);
        self.lately.set(true);
        if !self.answered.replace(true) {
            self.first.take();
            self.running.borrow_mut().class = CodeClass::Success;
        }
    }

    /// Whether it has answered since this was last asked.
    pub(super) fn answered_lately(&self) -> bool {
        self.lately.take()
    }

    pub(super) fn has_answered(&self) -> bool {
        self.answered.get()
    }

    /// Keeps the only datagram that was sent: if it is refused, it can go elsewhere.
    pub(super) fn keep_first(&self, first: Kept) {
        self.first.replace(Some(first));
    }

    pub(super) fn take_first(&self) -> Option<Kept> {
        self.first.take()
    }

    /// Its client has gone on after an answer: it may be silent for longer, and strangers do not push it out.
    pub(super) fn prove(&self, lane: &Lane, now: Now) {
        self.tied.keep_for(self.idle);
        if let Some(served) = lane.gate.current.load().pool_named(&self.pool) {
            self.flow.proven(self.tag, &served.policy, now);
        }
    }

    /// The session ends when it has been silent for so long.
    pub(super) fn keep_for(&self, idle: Duration) {
        self.tied.keep_for(idle);
    }
}
