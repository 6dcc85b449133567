//! What listeners and pools of layer 4 (TCP and UDP) have besides.

use crate::config::read::{keys, later};
use crate::config::units::{Time, Whole};

keys! {
    /// How connections of a `tcp` listener are kept.
    struct Tcp {
        /// A connection on which nothing moves in either direction for this long is closed.
        idle: Time = "1h",
        /// When the kernel asks whether the other end of a silent connection is still there, towards clients and backends;
        /// null: never.
        keepalive: Option<Time> = "1m",
        /// How long what was sent may stay unconfirmed before the kernel gives the connection up (`TCP_USER_TIMEOUT`);
        /// null: as the system has it.
        user_timeout: Option<Time> = "null",
    }
    refused [later("source")]
}

keys! {
    /// At layer 4: clients are told apart by their address. A client stays with its backend.
    struct SourceAddress {
        /// Bits of an IPv4 address that count: with 24, all of 192.0.2.0/24 is one client.
        ipv4_prefix: Whole<1, 32> = "32",
        /// Bits of an IPv6 address that count; one household or server has a /64 as a rule.
        ipv6_prefix: Whole<1, 128> = "64",
        /// A client that has had no connection for this long is forgotten; how many are known at most, says `learn.capacity`.
        idle: Time = "30m",
    }
}
