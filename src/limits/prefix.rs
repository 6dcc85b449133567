//! What counts as one client: an address, or the network that one customer has.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How many bits of an address tell clients apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prefix {
    /// Of an IPv4 address, at most 32.
    pub ipv4: u8,
    /// Of an IPv6 address, at most 128: whoever has one has 2^64 of them.
    pub ipv6: u8,
}

impl Prefix {
    /// The client's network.
    pub fn of(self, address: IpAddr) -> IpAddr {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(self.ipv4.into())).unwrap_or(0);
                Ipv4Addr::from_bits(address.to_bits() & mask).into()
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128_u32.saturating_sub(self.ipv6.into())).unwrap_or(0);
                Ipv6Addr::from_bits(address.to_bits() & mask).into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_its_network() {
        let of = |ipv4, ipv6, address: &str| Prefix { ipv4, ipv6 }.of(address.parse().unwrap()).to_string();
        assert_eq!(of(32, 64, "192.0.2.77"), "192.0.2.77");
        assert_eq!(of(24, 64, "192.0.2.77"), "192.0.2.0");
        assert_eq!(of(24, 64, "::ffff:192.0.2.77"), "192.0.2.0");
        assert_eq!(of(32, 64, "2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of(32, 48, "2001:db8:1:2:3:4:5:6"), "2001:db8:1::");
        assert_eq!(of(32, 128, "2001:db8::6"), "2001:db8::6");
        assert_eq!(of(0, 0, "192.0.2.77"), "0.0.0.0");
    }
}
