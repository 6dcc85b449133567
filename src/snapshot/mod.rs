//! The snapshot: one immutable world for each configuration, swapped whole.
//!
//! [`Snapshot::compile`] is its only constructor: it consumes a checked configuration, and carries live state
//! (health, counts, learned sessions, the session book) over from the snapshot before it, by pool and backend id. A request
//! reads [`Current`] once and keeps what it got.
//!
//! May use `config`, `route`, `pool`, `affinity`, `telemetry`, and the words of `health`, `store` and `discovery`.

mod compile;
mod compression;
mod current;
mod discovered;
mod endpoint;
mod layer4;
mod logs;
mod peers;
mod room;
mod routes;
mod secrets;
mod served;
mod tracing;

pub use compression::{Coding, CodingPlace, Compression};
pub use current::Current;
pub use discovered::discovered;
pub use endpoint::Endpoint;
pub use layer4::{ServedLayer4, ServedTcp, ServedUdp, TcpOptions};
pub use logs::{LogError, Logs};
pub use room::WaitingRoom;
pub use secrets::{Secrets, SecretsError};
pub use served::{ErrorPage, RetryPolicy, RouteLimits, ServedListener, ServedPool, Snapshot, ToldHeaders};
pub use tracing::Tracing;
