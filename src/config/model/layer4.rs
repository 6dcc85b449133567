//! What listeners and pools of layer 4 (TCP and UDP) have besides.

use crate::config::collections::OneOrMany;
use crate::config::patterns::HostPattern;
use crate::config::read::{keys, later};
use crate::config::text::{Name, Text};
use crate::config::units::{Time, Whole};

keys! {
    /// How connections of a `tcp` listener are kept.
    struct Tcp {
        /// A connection on which nothing moves in either direction for this long is closed.
        idle: Time = "1h",
        /// For what a client says first, where `tls_routes` or the pool's `client_name` look at it. Who says nothing in that time
        /// is told apart by its address, and goes to `pool`.
        first_bytes: Time = "5s",
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
    /// How sessions of a `udp` listener are kept: one for each client address and port.
    struct Udp {
        /// A session in which no datagram passed in either direction for this long has ended.
        idle: Time = "1m",
        /// The same for a client whose address nothing speaks for yet: it has not gone on after an answer. Where sessions are as
        /// many as they may be, such a one gives way to a new one, the oldest first.
        unproven: Time = "10s",
        /// How many datagrams a client may send; further ones are dropped. null: no bound.
        rate: Option<DatagramRate> = "null",
    }
}

keys! {
    /// How many datagrams a client may send.
    struct DatagramRate {
        /// Datagrams in the time `per`, on average.
        datagrams: Whole<1, 100_000_000>,
        /// The time in which so many may come.
        per: Time = "1s",
        /// Datagrams at once after a pause; null: as many as `datagrams`.
        burst: Option<Whole<1, 100_000_000>> = "null",
        /// Clients that are told apart, in 16 bytes each; beyond, those that sent least are forgotten first.
        keys: Whole<64, 100_000_000> = "100000",
    }
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

keys! {
    /// Which TLS connections go to a pool, by what their first message says in the clear. Everything that is written has to hold.
    struct TlsRoute {
        /// One of these servers is named: `mail.example.com`, or `*.example.com` for all below a domain. null: any, or none.
        server_name: Option<OneOrMany<HostPattern>> = "null",
        /// One of these protocols is offered (ALPN), such as `h2`, `imap` or `acme-tls/1`. null: any, or none.
        alpn: Option<OneOrMany<Text>> = "null",
        /// The pool.
        pool: Name,
    }
}
