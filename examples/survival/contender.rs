//! A load balancer that takes part, and what it is asked to do. The same for all of them.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Any error of the program.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A load balancer, each in the configuration that its documentation recommends.
pub(crate) trait Contender: Send {
    /// Its name in the table.
    fn name(&self) -> &'static str;

    /// Starts `plan.replicas` processes; returns when all of them accept connections.
    fn start(&mut self, plan: &Plan) -> Result<(), Failure>;

    /// Where each replica listens. Stays the same until the end, also over [`kill`](Self::kill) and
    /// [`restart`](Self::restart).
    fn addresses(&self) -> Vec<SocketAddr>;

    /// The plan has changed: brings one replica there in the way that its documentation recommends for a
    /// running service, and returns when new requests are served by it.
    fn apply(&mut self, plan: &Plan, replica: usize) -> Result<(), Failure>;

    /// Lets another process of the same program take over from one replica, in the way that its documentation recommends, and
    /// returns when new requests are served by it.
    fn upgrade(&mut self, replica: usize) -> Result<(), Failure>;

    /// Kills one replica with SIGKILL.
    fn kill(&mut self, replica: usize) -> Result<(), Failure>;

    /// Starts a killed replica again, with what is left on its disk; returns when it accepts connections.
    fn restart(&mut self, replica: usize) -> Result<(), Failure>;

    /// Sessions that it has reported as lost to restarts that no check saw; `None`: it reports no such thing.
    fn reported_losses(&self) -> Option<u64> {
        None
    }
}

/// What an incident asks for.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// A folder of this run, for configurations, sockets and state.
    pub(crate) folder: PathBuf,
    /// Load balancers side by side.
    pub(crate) replicas: usize,
    /// The application servers.
    pub(crate) backends: Vec<Backend>,
    /// Requests in flight that one backend may have, where bounded; more wait.
    pub(crate) backend_limit: Option<u32>,
    /// Whether clients speak HTTP/2, in cleartext and from the first byte on.
    pub(crate) http2: bool,
    /// How often the key that seals cookies was changed, where there is one.
    pub(crate) key_generation: u32,
}

/// One application server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Backend {
    /// Its stable name.
    pub(crate) id: String,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Its share of new sessions.
    pub(crate) weight: u32,
    /// Keeps its sessions, takes no new ones.
    pub(crate) draining: bool,
}
