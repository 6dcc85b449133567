//! A look at a backend by UDP, where silence says little and only ICMP says that nobody is there.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::probe::not_connected;
use super::state::Observation;

/// Sends an empty datagram, and listens for `wait` whether nobody is there.
pub(super) async fn knock_udp(address: SocketAddr, wait: Duration) -> Observation {
    let knocked = async {
        let socket = connected(address).await?;
        socket.send(&[]).await?;
        // ICMP's word is an error of the socket, which is not readable then.
        socket.ready(Interest::READABLE.add(Interest::ERROR)).await?;
        match socket.take_error()? {
            Some(error) => Err(error),
            None => Ok(()),
        }
    };
    match timeout(wait, knocked).await {
        Ok(Err(error)) => not_connected(&error),
        Ok(Ok(())) | Err(_) => Observation::Pass,
    }
}

/// A socket that is told what concerns this address.
pub(super) async fn connected(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_there_is_silent_and_who_is_not_is_told_so() {
        let wait = Duration::from_millis(200);
        let there = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = there.local_addr().unwrap();
        assert_eq!(knock_udp(address, wait).await, Observation::Pass);
        drop(there);
        assert_eq!(knock_udp(address, wait).await, Observation::Unreachable);
    }
}
