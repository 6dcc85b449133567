//! What is known of a request, phase by phase.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderValue;

use super::compress::Coder;
use super::mirror::Copy;
use super::phases::Phases;
use super::span::Traced;

use super::wait::Entry;
use crate::affinity::{Decision, Evidence, Refusal, SessionDigest};
use crate::clock::Now;
use crate::hooks::States;
use crate::listen::{BodyClock, Connection};
use crate::names::{BackendIndex, Outcome};
use crate::pool::Permit;
use crate::route::Route;
use crate::snapshot::{ServedPool, Snapshot};
use crate::telemetry::Trace;

/// What is known of a request.
pub(crate) struct RequestContext {
    /// The world that it was received in, kept until its end.
    pub(super) snapshot: Arc<Snapshot>,
    /// When it was received.
    pub(super) arrived: Now,
    /// When it reached each of its phases.
    pub(super) phases: Phases,
    /// The client's connection.
    pub(super) connection: Option<Arc<Connection>>,
    /// To be told of its body, where HTTP/2 bounds the time of it.
    pub(super) body: Option<Arc<BodyClock>>,
    /// Who is asking, once that is known.
    pub(super) client: Option<Client>,
    /// What hooks remember.
    pub(super) states: States,
    /// Its id, where the listener has ids.
    pub(super) request_id: Option<HeaderValue>,
    /// The route that takes it, unless a hook chose.
    pub(super) route: Option<Arc<Route>>,
    /// Its trace, where traces are exported.
    pub(super) traced: Option<Box<Traced>>,
    /// Its copy for another pool.
    pub(super) mirror: Option<Box<Copy>>,
    /// Writes the response's body in another way.
    pub(super) coder: Option<Box<Coder>>,
    /// Bytes of its body so far.
    pub(super) body_bytes: u64,
    /// Interim responses (1xx) so far.
    pub(super) interim: u32,
    /// How far it has come.
    pub(super) stage: Stage,
}

/// How far a request has come.
pub(super) enum Stage {
    /// Received.
    Arrived,
    /// Nobody can serve it.
    Refused { served: Arc<ServedPool>, refusal: Refusal },
    /// A backend was chosen.
    Placed(Box<Placed>),
}

/// A request with its backend.
pub(super) struct Placed {
    pub(super) served: Arc<ServedPool>,
    pub(super) client: Client,
    pub(super) evidence: Evidence,
    pub(super) decision: Decision,
    pub(super) outcome: Outcome,
    /// The session that its response started.
    pub(super) started: Option<SessionDigest>,
    /// Counts it in at its backend.
    pub(super) permit: Option<Permit>,
    /// Tries after the first.
    pub(super) retries: u32,
    /// The last try failed: decide again before the next one.
    pub(super) failed: bool,
    /// The connection of this try had served before.
    pub(super) reused: bool,
    /// How a newcomer came past the waiting room.
    pub(super) entry: Entry,
    /// Whether it is a CORS preflight.
    pub(super) preflight: bool,
    /// The backend that its session moved away from.
    pub(super) moved_from: Option<BackendIndex>,
    /// Why it was decided so, where that is kept.
    pub(super) trace: Option<Box<Trace>>,
}

/// Who is asking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Client {
    /// The address, after trusted proxies.
    pub(super) address: IpAddr,
    /// Whether the other end of the connection is a trusted proxy.
    pub(super) through_proxy: bool,
    /// Whether the client's own connection is encrypted.
    pub(super) secure: bool,
}

impl RequestContext {
    /// Who is asking, once that is known.
    pub(super) fn client(&self) -> Option<Client> {
        match &self.stage {
            Stage::Placed(placed) => Some(placed.client),
            Stage::Arrived | Stage::Refused { .. } => None,
        }
    }

    pub(super) fn placed(&mut self) -> Option<&mut Placed> {
        match &mut self.stage {
            Stage::Placed(placed) => Some(placed),
            Stage::Arrived | Stage::Refused { .. } => None,
        }
    }
}

impl Placed {
    pub(super) fn backend(&self) -> BackendIndex {
        self.decision.backend
    }
}
