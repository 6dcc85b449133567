//! From a checked configuration to the sources of its pools' backends.

use crate::config::Checked;
use crate::config::checked::{BackendFile, Discovery, Dns, DnsRecord};
use crate::discovery::{DnsSpec, FileSpec, OnEmpty, Record, Spec};
use crate::names::PoolName;

/// What the pools with discovery find their backends by, in the order of the file.
pub fn discovered(checked: &Checked) -> Vec<(PoolName, Spec)> {
    let pools = checked.pools.iter();
    pools.filter_map(|pool| Some((pool.name.clone(), spec(pool.discovery.clone()?)))).collect()
}

fn spec(discovery: Discovery) -> Spec {
    match discovery {
        Discovery::Dns(Dns {
            name,
            record,
            refresh,
            refresh_minimum,
            timeout,
            resolvers,
            remove_when_empty,
        }) => Spec::Dns(DnsSpec {
            name,
            record: match record {
                DnsRecord::Address { port } => Record::Address { port },
                DnsRecord::Srv => Record::Srv,
            },
            refresh,
            minimum: refresh_minimum,
            timeout,
            resolvers,
            on_empty: on_empty(remove_when_empty),
        }),
        Discovery::File(BackendFile { path, refresh, remove_when_empty }) => {
            Spec::File(FileSpec { path, refresh, on_empty: on_empty(remove_when_empty) })
        }
    }
}

fn on_empty(remove: bool) -> OnEmpty {
    if remove { OnEmpty::Remove } else { OnEmpty::Keep }
}
