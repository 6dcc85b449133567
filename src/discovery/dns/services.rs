//! From SRV records to backends.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::said::Service;
use crate::discovery::found::Found;
use crate::names::BackendId;

/// The backends of SRV records whose targets' addresses are known; the others are left out.
///
/// A backend's id is its target, with the port behind it where the target has several. The lowest priority takes new
/// sessions, by weight; higher ones are there with weight 0: a server that is moved to a higher priority keeps
/// the sessions that it has. RFC 2782 gives a weight of 0 "a very small chance": here it is 1, the smallest.
pub(super) fn backends(services: &[Service], address: impl Fn(&str) -> Option<IpAddr>) -> Vec<Found> {
    let mut ports: BTreeMap<&str, BTreeSet<u16>> = BTreeMap::new();
    let mut best: BTreeMap<(&str, u16), &Service> = BTreeMap::new();
    for service in services {
        ports.entry(&service.target).or_default().insert(service.port);
        let place = best.entry((&service.target, service.port)).or_insert(service);
        // Of two records for one server the more willing one counts.
        if (service.priority, u16::MAX - service.weight) < (place.priority, u16::MAX - place.weight) {
            *place = service;
        }
    }
    let placed: Vec<(&Service, SocketAddr)> = best
        .into_values()
        .filter_map(|service| Some((service, SocketAddr::new(address(&service.target)?, service.port))))
        .collect();
    let lowest = placed.iter().map(|(service, _)| service.priority).min();
    let backend = |(service, address): (&Service, SocketAddr)| {
        let several = ports.get(service.target.as_str()).is_some_and(|ports| ports.len() > 1);
        let id = if several {
            BackendId::new(&format!("{}:{}", service.target, service.port))
        } else {
            BackendId::new(&service.target)
        };
        let weight = if Some(service.priority) == lowest { service.weight.max(1) } else { 0 };
        Found { id, address, weight }
    };
    placed.into_iter().map(backend).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(priority: u16, weight: u16, port: u16, target: &str) -> Service {
        Service { priority, weight, port, target: target.to_owned() }
    }

    fn shown(services: &[Service]) -> Vec<(String, u16, u16)> {
        let address = |target: &str| (target != "lost").then(|| IpAddr::from([10, 0, 0, 1]));
        let backends = backends(services, address);
        backends.iter().map(|found| (found.id.to_string(), found.address.port(), found.weight)).collect()
    }

    fn expected(all: &[(&str, u16, u16)]) -> Vec<(String, u16, u16)> {
        all.iter().map(|(id, port, weight)| ((*id).to_owned(), *port, *weight)).collect()
    }

    #[test]
    fn ids_are_targets_with_ports_where_needed() {
        let found = shown(&[service(0, 3, 80, "a"), service(0, 0, 81, "b"), service(0, 1, 80, "b")]);
        assert_eq!(found, expected(&[("a", 80, 3), ("b:80", 80, 1), ("b:81", 81, 1)]));
    }

    #[test]
    fn only_the_lowest_priority_takes_new_sessions() {
        let found = shown(&[service(10, 5, 80, "a"), service(20, 5, 80, "b"), service(10, 0, 80, "c")]);
        assert_eq!(found, expected(&[("a", 80, 5), ("b", 80, 0), ("c", 80, 1)]));
    }

    #[test]
    fn a_target_without_address_does_not_count() {
        let found = shown(&[service(10, 5, 80, "lost"), service(20, 5, 80, "b")]);
        assert_eq!(found, expected(&[("b", 80, 5)]));
    }

    #[test]
    fn of_two_records_for_one_server_the_more_willing_counts() {
        let found = shown(&[service(20, 9, 80, "a"), service(10, 2, 80, "a"), service(10, 7, 80, "a")]);
        assert_eq!(found, expected(&[("a", 80, 7)]));
    }
}
