//! Listening: sockets, the front door, and what a client may send before anything else looks at it.
//!
//! A connection waits for its next request here, outside of Pingora's big request future, and costs little
//! while it waits. The head of each request is read and judged here (`head`): one framing, one host, within
//! limits and deadlines; what is refused is answered and counted here. Only then does the request go to the
//! application (an [`HttpServerApp`](pingora::apps::HttpServerApp)), through a stream (`stream`) that gives
//! it exactly one message, so that two parsers can never disagree about where a request ends.
//!
//! Sockets of UDP are bound here, too, and their datagrams counted; `passage` is the way of their sessions to another process.
//!
//! Before HTTP, a connection may begin with a header of the PROXY protocol and a TLS handshake (`welcome`); over TLS, or in
//! cleartext where that is switched on, HTTP/2 may follow (`http2`), whose frames are counted as they pass (`frames`).
//!
//! May use `tls`, `names` and `clock`; the application behind the door is a type parameter.

mod accept;
mod acceptance;
mod bind;
mod body_clock;
mod budget;
mod buffered;
mod buffers;
mod chunked;
mod connection;
mod counts;
mod door;
mod frames;
mod gather;
mod head;
mod hold;
mod http2;
mod outgoing;
mod pace;
mod pages;
mod passage;
mod protocols;
mod proxy_protocol;
mod service;
mod stream;
mod stream_body;
mod target;
mod transport;
mod unix;
mod welcome;

pub(crate) use accept::{Incoming, accept, on_own_thread};
pub use acceptance::{Acceptance, Accepting};
pub use bind::{BindError, bind, bind_udp};
pub use body_clock::BodyClock;
pub use budget::Budget;
pub use buffers::{Buffers, Slowest};
pub use chunked::{BadChunk, Chunked};
pub use connection::{Connection, ListenerFacts, Secured};
pub use counts::{Counts, DatagramCounts, Slot};
pub use door::{Bounds, Door};
pub use gather::{Files, Gathering};
pub use head::{Framing, Head, HeadLimits, Rejection, inspect};
pub use http2::{Http2Bounds, Stream};
pub use pages::{Page, Pages};
pub(crate) use passage::{CarriedSession, Passage, SessionRecord, Word};
pub use protocols::{ListenerTls, Protocols};
pub use proxy_protocol::{
    Peek, ProxyHeader, ProxyHeaderError, ProxyVersion, proxy_header, proxy_header_in, proxy_header_of_nobody,
    read_proxy_header,
};
pub use service::HttpListeners;
pub use unix::{SocketFile, bind_unix};
