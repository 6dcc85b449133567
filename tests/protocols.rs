//! Real protocols through layer 4, by real programs: PostgreSQL, Redis, MQTT, TLS, DNS, syslog.
//!
//! Needs Debian's packages postgresql, redis-server, mosquitto, mosquitto-clients, openssl, dnsmasq-base, bind9-dnsutils and rsyslog, so every test is ignored unless asked for.

#[cfg(test)]
#[expect(dead_code, reason = "some of it serves the suite only")]
mod support;

#[cfg(test)]
#[path = "protocols/datagrams.rs"]
mod datagrams;
#[cfg(test)]
#[path = "protocols/real.rs"]
mod real;

#[cfg(test)]
#[path = "protocols/transparent.rs"]
mod transparent;
