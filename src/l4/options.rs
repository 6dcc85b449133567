//! What a listener of TCP wants of the sockets of both sides. None of it is worth a connection.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::net::sockopt::set_tcp_user_timeout;
use socket2::{SockRef, TcpKeepalive};

use crate::clock::millis;
use crate::snapshot::TcpOptions;

/// Sets on a new socket what counts from its first byte on.
pub(super) fn set(options: TcpOptions, socket: &impl AsFd) {
    if let Some(limit) = options.user_timeout {
        let _ = set_tcp_user_timeout(socket, u32::try_from(millis(limit)).unwrap_or(u32::MAX));
    }
}

/// Has the kernel ask, after so long of silence, whether the other end is still there. Most connections are over before that
/// could matter, and do without the calls.
pub(super) fn keep_alive(after: Duration, socket: &impl AsFd) {
    let _ = SockRef::from(socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(after));
}
