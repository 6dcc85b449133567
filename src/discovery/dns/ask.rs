//! Questions to a resolver; the only file that knows the crate that asks.

use std::net::IpAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType};

use super::DnsSpec;
use super::said::{Said, SaidOfHost, Service};
use crate::discovery::found::Fault;

/// Asks; clones ask the same resolvers.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    resolver: TokioResolver,
    /// For one question, with repetitions, all resolvers and the whole search list.
    limit: Duration,
}

/// Tries of one question: UDP loses packets.
const REPETITIONS: usize = 1;

impl Asker {
    /// Reads the system's settings where the resolvers are the system's: they may have changed since the last look.
    pub(super) fn new(spec: &DnsSpec) -> Result<Self, Fault> {
        let mut builder = if spec.resolvers.is_empty() {
            TokioResolver::builder_tokio().map_err(|error| {
                Fault::new(format!(
                    "the system's resolvers are unknown, name some under `resolvers`: {error}"
                ))
            })?
        } else {
            let servers = spec.resolvers.iter().map(|address| {
                let at = |connection: ConnectionConfig| {
                    let mut connection = connection;
                    connection.port = address.port();
                    connection
                };
                NameServerConfig::new(
                    address.ip(),
                    true,
                    vec![at(ConnectionConfig::udp()), at(ConnectionConfig::tcp())],
                )
            });
            let config = ResolverConfig::from_name_servers(servers.collect());
            let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
            // Who names resolvers means them.
            builder.options_mut().use_hosts_file = ResolveHosts::Never;
            builder
        };
        let options = builder.options_mut();
        options.timeout = spec.timeout;
        options.attempts = REPETITIONS;
        // An answer's time to live is counted by `pace`; a cache beside it would add its own.
        options.cache_size = 0;
        let resolver = builder.build().map_err(|error| Fault::new(error.to_string()))?;
        Ok(Self { resolver, limit: spec.timeout.saturating_mul(4) })
    }

    /// A and AAAA records of a name.
    pub(super) async fn host(&self, name: &str) -> SaidOfHost {
        let address = |data: &RData| match data {
            RData::A(ip) => Some(IpAddr::V4(ip.0)),
            RData::AAAA(ip) => Some(IpAddr::V6(ip.0)),
            _ => None,
        };
        let (v4, v6) =
            tokio::join!(self.ask(name, RecordType::A, address), self.ask(name, RecordType::AAAA, address));
        SaidOfHost { v4, v6 }
    }

    /// SRV records of a name.
    pub(super) async fn services(&self, name: &str) -> Said<Service> {
        let service = |data: &RData| {
            let RData::SRV(srv) = data else { return None };
            // RFC 2782: a target of "." means that the service is decidedly not available.
            let target = srv.target.to_lowercase().to_ascii();
            let target = target.trim_end_matches('.');
            (!target.is_empty()).then(|| Service {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: target.to_owned(),
            })
        };
        self.ask(name, RecordType::SRV, service).await
    }

    async fn ask<T>(&self, name: &str, kind: RecordType, read: impl Fn(&RData) -> Option<T>) -> Said<T> {
        let asked = tokio::time::timeout(self.limit, self.resolver.lookup(name, kind)).await;
        match asked {
            Ok(Ok(lookup)) => records(&lookup, kind, read),
            Ok(Err(error)) => failure(kind, &error),
            Err(_) => Said::Failed(format!("no answer to the question for {kind} records in time")),
        }
    }
}

fn records<T>(lookup: &Lookup, kind: RecordType, read: impl Fn(&RData) -> Option<T>) -> Said<T> {
    // The aliases on the way count for the time to live, too.
    let ttl = lookup.answers().iter().map(|record| record.ttl).min().unwrap_or_default();
    let records: Vec<T> = lookup.answers().iter().filter_map(|record| read(&record.data)).collect();
    if records.is_empty() {
        return Said::Nothing(format!("no {kind} record that can be used"));
    }
    Said::Records { records, ttl: Duration::from_secs(ttl.into()) }
}

fn failure<T>(kind: RecordType, error: &NetError) -> Said<T> {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => Said::Nothing("no such name (NXDOMAIN)".to_owned()),
            ResponseCode::NoError => Said::Nothing(format!("no {kind} record")),
            code => Said::Failed(format!("the resolver answers `{code}` to the question for {kind} records")),
        },
        NetError::Timeout => Said::Failed(format!("no answer to the question for {kind} records in time")),
        error => Said::Failed(format!("the question for {kind} records failed: {error}")),
    }
}
