//! What a listener of TCP wants of the sockets of both sides. None of it is worth a connection.

use std::os::fd::AsFd;

use rustix::net::sockopt::set_tcp_user_timeout;
use socket2::{SockRef, TcpKeepalive};

use crate::clock::millis;
use crate::snapshot::TcpOptions;

/// Sets it on a new socket.
pub(super) fn set(options: TcpOptions, socket: &impl AsFd) {
    if let Some(after) = options.keepalive {
        let _ = SockRef::from(socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(after));
    }
    if let Some(limit) = options.user_timeout {
        let _ = set_tcp_user_timeout(socket, u32::try_from(millis(limit)).unwrap_or(u32::MAX));
    }
}
