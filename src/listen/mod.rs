//! Listening: sockets, the front door, and what a client may send before anything else looks at it.
//!
//! A connection waits for its next request here, outside of Pingora's big request future, and costs little
//! while it waits. The head of each request is read and judged here (`head`): one framing, one host, within
//! limits and deadlines; what is refused is answered and counted here. Only then does the request go to the
//! application (an [`HttpServerApp`](pingora::apps::HttpServerApp)), through a stream (`stream`) that gives
//! it exactly one message, so that two parsers can never disagree about where a request ends.
//!
//! May use `names` and `clock`; the application behind the door is a type parameter.

mod acceptance;
mod bind;
mod chunked;
mod connection;
mod counts;
mod door;
mod head;
mod proxy_protocol;
mod service;
mod stream;
mod target;
mod unix;

pub use acceptance::{Acceptance, Accepting};
pub use bind::{BindError, bind};
pub use connection::{Connection, ListenerFacts};
pub use counts::{Counts, Slot};
pub use door::{Bounds, Door};
pub use head::{Framing, Head, HeadLimits, Rejection, inspect};
pub use proxy_protocol::{ProxyHeader, ProxyHeaderError, ProxyVersion, proxy_header, read_proxy_header};
pub use service::HttpListeners;
pub use unix::bind_unix;
