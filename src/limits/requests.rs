//! A limit of requests in a time, for each client, session or value of a header.

use std::net::IpAddr;
use std::time::Duration;

use http::HeaderName;

use super::buckets::{Buckets, Rate};
use super::prefix::Prefix;
use crate::clock::Now;

/// By what requests are told apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum By {
    /// The client's address, after trusted proxies.
    Client(Prefix),
    /// The session; requests without one do not count.
    Session,
    /// The value of a header field; requests without it do not count.
    Header(HeaderName),
}

/// A limit, with its table.
#[derive(Debug)]
pub struct RequestLimit {
    by: By,
    rate: Rate,
    keys: usize,
    buckets: Buckets,
}

impl RequestLimit {
    /// A limit for about that many keys, keyed with a random secret.
    pub fn new(by: By, rate: Rate, keys: usize, secret: [u8; 16]) -> Self {
        Self { by, rate, keys, buckets: Buckets::new(rate, keys, secret) }
    }

    /// Whether it is the same limit, so that a reload goes on with its table.
    pub fn is(&self, by: &By, rate: Rate, keys: usize) -> bool {
        (&self.by, self.rate, self.keys) == (by, rate, keys)
    }

    /// How many may come, in words: `50 in 1s for each client, 200 at once`.
    pub fn in_words(&self) -> String {
        let by = match &self.by {
            By::Client(_) => "client".to_owned(),
            By::Session => "session".to_owned(),
            By::Header(name) => format!("value of {name}"),
        };
        let Rate { requests, per, burst } = self.rate;
        format!("{requests} in {} for each {by}, {burst} at once", humantime::format_duration(per))
    }

    /// By what it tells requests apart.
    pub fn by(&self) -> &By {
        &self.by
    }

    /// Counts a request of a client.
    ///
    /// # Errors
    /// It is one too many; gives how long to wait.
    pub fn client(&self, prefix: Prefix, address: IpAddr, now: Now) -> Result<(), Duration> {
        match prefix.of(address) {
            IpAddr::V4(address) => self.buckets.take(&address.octets(), now),
            IpAddr::V6(address) => self.buckets.take(&address.octets(), now),
        }
    }

    /// Counts a request with this key.
    ///
    /// # Errors
    /// It is one too many; gives how long to wait.
    pub fn key(&self, key: &[u8], now: Now) -> Result<(), Duration> {
        self.buckets.take(key, now)
    }
}
