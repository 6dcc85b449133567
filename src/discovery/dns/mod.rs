//! A name in DNS: A and AAAA records, or SRV records and their targets.
//!
//! [`ask`] puts questions to the resolver, [`memory`] keeps what each was answered last, [`services`] makes backends of SRV
//! records, [`pace`] says when to look again; the [`looker`] is the source that joins them.

#[cfg(feature = "dns")]
mod ask;
#[cfg(feature = "dns")]
mod looker;
#[cfg(feature = "dns")]
mod memory;
#[cfg(feature = "dns")]
mod pace;
#[cfg(feature = "dns")]
mod said;
#[cfg(feature = "dns")]
mod services;

use std::net::SocketAddr;
use std::time::Duration;

use super::source::Source;
use super::spec::OnEmpty;

/// A name in DNS, and how it is looked up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DnsSpec {
    /// The name; the system's search list applies unless it ends with a dot.
    pub name: String,
    /// Which records.
    pub record: Record,
    /// The longest time between two looks; a shorter time to live is respected.
    pub refresh: Duration,
    /// The shortest time between two looks: a shorter time to live counts as this. Never below a second.
    pub minimum: Duration,
    /// How long one question may take before it is asked once more.
    pub timeout: Duration,
    /// The resolvers; empty: the system's, read anew at each look.
    pub resolvers: Vec<SocketAddr>,
    /// What an answer without records means.
    pub on_empty: OnEmpty,
}

/// Which records name the backends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Record {
    /// A and AAAA: each address is a backend, at this port.
    Address {
        /// The port, the same on each backend.
        port: u16,
    },
    /// SRV: each target and port is a backend.
    Srv,
}

/// A source that has not looked yet.
#[cfg(feature = "dns")]
pub(super) fn source(spec: DnsSpec) -> Box<dyn Source> {
    Box::new(looker::Looker::new(spec))
}

/// The configuration refuses `dns` in a build without it; whoever makes a spec without one is told.
#[cfg(not(feature = "dns"))]
pub(super) fn source(spec: DnsSpec) -> Box<dyn Source> {
    #[derive(Debug)]
    struct Without(String);

    #[async_trait::async_trait]
    impl Source for Without {
        async fn next(&mut self) -> Result<super::Answer, super::Fault> {
            Err(super::Fault::new(format!("{} needs a build with the feature `dns`", self.0)))
        }
    }

    Box::new(Without(spec.name))
}
