//! Addresses that exclude each other.

use std::net::SocketAddr;

/// Whether two sockets cannot be bound side by side.
pub(super) fn collide(left: SocketAddr, right: SocketAddr) -> bool {
    let same_family = left.is_ipv4() == right.is_ipv4();
    let overlap = left.ip() == right.ip() || left.ip().is_unspecified() || right.ip().is_unspecified();
    // The kernel gives every port 0 another port.
    left.port() != 0 && left.port() == right.port() && same_family && overlap
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_collide_as_sockets_do() {
        let collide = |a: &str, b: &str| collide(a.parse().unwrap(), b.parse().unwrap());
        assert!(collide("127.0.0.1:80", "127.0.0.1:80"));
        assert!(collide("0.0.0.0:80", "127.0.0.1:80"));
        assert!(!collide("127.0.0.1:80", "127.0.0.1:81"));
        assert!(!collide("127.0.0.1:80", "127.0.0.2:80"));
        assert!(!collide("0.0.0.0:80", "[::]:80"));
        assert!(!collide("127.0.0.1:0", "127.0.0.1:0"));
    }
}
