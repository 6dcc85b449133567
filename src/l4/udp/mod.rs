//! UDP: a session for each client address and port, from its first datagram until it is silent.
//!
//! Each listening socket is read by one thread ([`lane`]), which has the sessions of its clients to itself ([`sessions`]): no
//! lock on the way of a datagram. A session ([`session`]) decides once where it goes, as a connection of TCP does, and has
//! a connected socket to its backend ([`upstream`]), so that the kernel tells it what belongs to it, and when nobody is
//! there. Answers leave from the socket that the client wrote to. Where all places of the listener are
//! taken, lanes give each other one ([`spare`]). At an upgrade, sessions go to the new process with their sockets ([`travel`]), where datagrams
//! may be before them ([`early`]).
//! Datagrams are received and sent many at a time ([`batch`]).

mod batch;
mod early;
mod lane;
mod relay;
mod session;
mod sessions;
mod spare;
mod stay;
mod threads;
mod travel;
mod upstream;

pub(super) use spare::Spare;
pub(super) use threads::serve;
