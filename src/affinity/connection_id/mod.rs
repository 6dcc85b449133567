//! Connection ids of QUIC in which a server has written who it is (QUIC-LB, draft-ietf-quic-load-balancers). Pure.
//!
//! A client that changes its network shows a new address, but a connection id that its server gave it. Where servers
//! write them by one of a pool's [`ConnectionIdForm`]s, that leads home: [`ConnectionIds::home`] finds the id in a datagram
//! ([`header`]), and reads from it which server made it ([`decipher`]). All else is for the address to decide.

mod decipher;
mod forms;
mod header;

pub use forms::{ConnectionIdForm, ConnectionIds};
