//! Layer 4: TCP, TLS pass-through by server name, and UDP, with affinity by source address.
//!
//! Reserved: this release balances HTTP only, and refuses `protocol: tcp` and `udp`. Will be to `listen` and `pool` what
//! `l7` is for HTTP. May use snapshot, route, affinity, pool, telemetry and listen.
