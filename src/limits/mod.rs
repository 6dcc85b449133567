//! How much one client, or all of them, may ask: open connections, requests in a time, sessions at once.
//!
//! Pure, and of bounded memory: whatever clients invent, nothing here grows beyond what was configured. `listen` asks
//! before it serves a connection, `l7` before it serves a request.
//!
//! May use `names` and `clock`.

mod buckets;
mod clients;
mod line;
mod prefix;
mod requests;

pub use buckets::{Buckets, Rate};
pub use clients::{ClientConnections, ClientPlace, PerClient};
pub use line::{Counting, Entrant, Line, Place, Ticket};
pub use prefix::Prefix;
pub use requests::{By, RequestLimit};
