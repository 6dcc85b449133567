//! Routes that can never match, because earlier ones take all that they would.

use std::collections::HashMap;

use ipnet::IpNet;

use super::Surroundings;
use crate::config::checked::{HostPattern, Matcher, MediaRange, PathPattern, ValueTest};
use crate::config::report::{Code, Place};

/// Reports each route whose every host and path is taken by some earlier route, with no further condition than its own.
pub(super) fn report(matchers: &[Option<&Matcher>], places: &[Place], around: &Surroundings<'_>) {
    let mut earlier = Earlier::default();
    for ((matcher, place), number) in matchers.iter().zip(places).zip(0..) {
        let Some(matcher) = matcher else { continue };
        if let Some(takers) = earlier.takers(matcher) {
            let lines: Vec<_> =
                takers.iter().filter_map(|taker| places.get(*taker)).map(|place| place.line).collect();
            let (plain, takes) = match (takers.as_slice(), lines.as_slice()) {
                ([taker], [line]) => {
                    let plain =
                        earlier.routes.iter().any(|(at, other)| at == taker && **other == Matcher::default());
                    (plain, format!("the route on line {line} takes"))
                }
                _ => {
                    let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
                    (false, format!("the routes on lines {} take", lines.join(", ")))
                }
            };
            let what = if plain { "every request" } else { "all that it would" };
            let message = format!("this route can never match: {takes} {what}");
            let help = if plain {
                "move it up, or keep one of them"
            } else {
                "move it up, remove it, or narrow the earlier one"
            };
            around.error(Code::Unused, place, message, help);
            continue;
        }
        earlier.add(number, matcher);
    }
}

/// The routes before one, by host: ten thousand hosts are compared with their own only.
#[derive(Default)]
struct Earlier<'m> {
    routes: Vec<(usize, &'m Matcher)>,
    any: Vec<usize>,
    exact: HashMap<&'m str, Vec<usize>>,
    below: HashMap<&'m str, Vec<usize>>,
}

impl<'m> Earlier<'m> {
    fn add(&mut self, number: usize, matcher: &'m Matcher) {
        let at = self.routes.len();
        self.routes.push((number, matcher));
        if matcher.hosts.is_empty() {
            self.any.push(at);
        }
        for host in &matcher.hosts {
            match host {
                HostPattern::Exact(name) => self.exact.entry(name).or_default().push(at),
                HostPattern::Below(domain) => self.below.entry(domain).or_default().push(at),
            }
        }
    }

    /// The routes that together take all that this one would; `None`: something is left for it.
    fn takers(&self, later: &Matcher) -> Option<Vec<usize>> {
        let mut takers = Vec::new();
        let hosts: Vec<_> = match later.hosts.as_slice() {
            [] => vec![None],
            hosts => hosts.iter().map(Some).collect(),
        };
        let paths: Vec<_> = match later.paths.as_slice() {
            [] => vec![None],
            paths => paths.iter().map(Some).collect(),
        };
        for host in hosts {
            let candidates = self.of_host(host);
            for path in &paths {
                let takes =
                    |at: &usize| self.routes.get(*at).filter(|(_, earlier)| takes(earlier, *path, later));
                let (number, _) = candidates.iter().find_map(takes)?;
                if !takers.contains(number) {
                    takers.push(*number);
                }
            }
        }
        takers.sort_unstable();
        Some(takers)
    }

    /// The routes that take every request to a host.
    fn of_host(&self, host: Option<&HostPattern>) -> Vec<usize> {
        let mut found = self.any.clone();
        let (name, exact) = match host {
            None => return found,
            Some(HostPattern::Exact(name)) => (name.as_str(), self.exact.get(name.as_str())),
            Some(HostPattern::Below(domain)) => (domain.as_str(), self.below.get(domain.as_str())),
        };
        found.extend(exact.into_iter().flatten());
        let parents = name.match_indices('.').filter_map(|(at, _)| name.get(at + 1..));
        found.extend(parents.filter_map(|parent| self.below.get(parent)).flatten());
        found.sort_unstable();
        found
    }
}

/// Whether an earlier route, of a fitting host, takes all requests of one path that a later one would take.
fn takes(earlier: &Matcher, path: Option<&PathPattern>, later: &Matcher) -> bool {
    let path = earlier.paths.is_empty()
        || path.is_some_and(|path| earlier.paths.iter().any(|other| other.covers(path)));
    path && all_in(&later.methods, &earlier.methods, |one, other| one == other)
        && tests_hold(&earlier.headers, &later.headers)
        && tests_hold(&earlier.cookies, &later.cookies)
        && tests_hold(&earlier.query, &later.query)
        && all_in(&later.accept, &earlier.accept, MediaRange::is_in)
        && all_in(&later.content_type, &earlier.content_type, MediaRange::is_in)
        && all_in(&later.server_names, &earlier.server_names, HostPattern::is_in)
        && all_in(&later.client, &earlier.client, |one: &IpNet, other| other.contains(one))
}

/// Whether each of the later list is in one of the earlier; an empty list means anything.
fn all_in<T>(later: &[T], earlier: &[T], is_in: impl Fn(&T, &T) -> bool) -> bool {
    earlier.is_empty()
        || (!later.is_empty() && later.iter().all(|one| earlier.iter().any(|other| is_in(one, other))))
}

/// Whether whatever meets the later tests meets the earlier ones.
fn tests_hold(earlier: &[(String, ValueTest)], later: &[(String, ValueTest)]) -> bool {
    earlier
        .iter()
        .all(|(name, test)| later.iter().any(|(other, later)| other == name && test.follows_from(later)))
}

impl ValueTest {
    fn follows_from(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Present, Self::Present | Self::Equals(_) | Self::Regex(_))
            | (Self::Absent, Self::Absent) => true,
            (Self::Equals(mine), Self::Equals(others)) => others.iter().all(|other| mine.contains(other)),
            (Self::Regex(mine), Self::Regex(other)) => mine == other,
            (Self::Regex(mine), Self::Equals(others)) => {
                others.iter().all(|other| mine.regex.is_match(other.as_bytes()))
            }
            _ => false,
        }
    }
}

impl HostPattern {
    fn is_in(&self, other: &Self) -> bool {
        let below = |name: &str, domain: &str| {
            name.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        };
        match (self, other) {
            (Self::Exact(name), Self::Exact(other)) => name == other,
            (Self::Exact(name), Self::Below(domain)) => below(name, domain),
            (Self::Below(own), Self::Below(domain)) => own == domain || below(own, domain),
            (Self::Below(_), Self::Exact(_)) => false,
        }
    }
}

impl MediaRange {
    fn is_in(&self, other: &Self) -> bool {
        self.kind == other.kind && (other.subtype.is_none() || self.subtype == other.subtype)
    }
}

impl PathPattern {
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(mine), Self::Exact(other)) => mine == other,
            (Self::Prefix(mine), Self::Exact(other) | Self::Prefix(other)) => {
                let mine = mine.strip_suffix(b"/").unwrap_or(mine);
                other.strip_prefix(mine).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
            }
            (Self::Regex(mine), Self::Exact(other)) => mine.regex.is_match(other),
            (Self::Regex(mine), Self::Regex(other)) => mine == other,
            (Self::Exact(_), Self::Prefix(_) | Self::Regex(_))
            | (Self::Prefix(_), Self::Regex(_))
            | (Self::Regex(_), Self::Prefix(_)) => false,
        }
    }
}
