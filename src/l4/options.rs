//! What a listener of TCP wants of the sockets of both sides. None of it is worth a connection.

use std::os::fd::AsFd;

use rustix::net::sockopt::set_tcp_user_timeout;
use socket2::{SockRef, TcpKeepalive};

use crate::clock::millis;
use crate::snapshot::TcpOptions;

/// Sets it on a socket that may have had other options before.
pub(super) fn set(options: TcpOptions, socket: &impl AsFd) {
    set_new(options, socket);
    if options.keepalive.is_none() {
        let _ = SockRef::from(socket).set_keepalive(false);
    }
    if options.user_timeout.is_none() {
        let _ = set_tcp_user_timeout(socket, 0);
    }
}

/// Sets it on a socket that has none of it.
pub(super) fn set_new(options: TcpOptions, socket: &impl AsFd) {
    if let Some(after) = options.keepalive {
        let _ = SockRef::from(socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(after));
    }
    if let Some(limit) = options.user_timeout {
        let _ = set_tcp_user_timeout(socket, u32::try_from(millis(limit)).unwrap_or(u32::MAX));
    }
}
