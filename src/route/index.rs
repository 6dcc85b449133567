//! Finds the routes whose host and path fit, without looking at the others.
//!
//! A route stands in a list for each of its hosts and paths. A request leads to a few lists: those of its host, of
//! the domains that this is below and of any host; in each of them those of its path, of the folders above it and of any
//! path. In every list routes stand in the order of the file, so the first of all lists is the first of the file.

use std::collections::HashMap;

use regex::bytes::{Regex, RegexSet, RegexSetBuilder};

use super::matcher::{HostPattern, Matcher, Name, PathPattern, parents};
use super::path::segments;

/// From this number on, regular expressions are matched together in one pass.
const PATTERNS_FOR_A_SET: usize = 5;
/// Of the automaton that matches them together; more patterns than fit are split.
const SET_BYTES: usize = 8 << 20;

/// A route's position in the file.
pub(super) type Position = u32;

/// Routes by host.
#[derive(Debug, Default)]
pub(super) struct Index {
    exact: HashMap<Box<[u8]>, Paths>,
    below: HashMap<Box<[u8]>, Paths>,
    /// Most labels of a domain in `below`: longer parents of a name need no look.
    most_labels: usize,
    any: Paths,
    reads_host: bool,
    reads_path: bool,
}

impl Index {
    pub(super) fn new<'m>(matchers: impl Iterator<Item = &'m Matcher>) -> Self {
        let mut index = Self::default();
        for (matcher, position) in matchers.zip(0..) {
            index.reads_host |= !matcher.hosts.is_empty();
            index.reads_path |= !matcher.paths.is_empty();
            if matcher.hosts.is_empty() {
                index.any.add(&matcher.paths, position);
            }
            for host in &matcher.hosts {
                let paths = match host {
                    HostPattern::Exact(name) => index.exact.entry(name.clone()).or_default(),
                    HostPattern::Below(domain) => {
                        index.most_labels = index.most_labels.max(labels(domain));
                        index.below.entry(domain.clone()).or_default()
                    }
                };
                paths.add(&matcher.paths, position);
            }
        }
        index.any.finish();
        let hosts = index.exact.values_mut().chain(index.below.values_mut());
        hosts.for_each(Paths::finish);
        index
    }

    /// Whether any route has a path.
    pub(super) fn reads_path(&self) -> bool {
        self.reads_path
    }

    /// The first route whose host and path fit, and of which `holds` says so.
    pub(super) fn first(
        &self,
        host: Option<&[u8]>,
        path: Option<&[u8]>,
        holds: &impl Fn(Position) -> bool,
    ) -> Option<Position> {
        let mut best = Best { position: Position::MAX, holds };
        self.any.search(path, &mut best);
        if self.reads_host
            && let Some(name) = host.and_then(Name::of)
        {
            let name = name.as_bytes();
            if let Some(paths) = self.exact.get(name) {
                paths.search(path, &mut best);
            }
            if self.most_labels > 0 {
                let depth = labels(name);
                let known = parents(name).skip(depth.saturating_sub(self.most_labels + 1));
                for paths in known.filter_map(|parent| self.below.get(parent)) {
                    paths.search(path, &mut best);
                }
            }
        }
        (best.position != Position::MAX).then_some(best.position)
    }
}

fn labels(name: &[u8]) -> usize {
    memchr::memchr_iter(b'.', name).count() + 1
}

/// The first route found so far.
struct Best<'h, H> {
    position: Position,
    holds: &'h H,
}

impl<H: Fn(Position) -> bool> Best<'_, H> {
    fn look(&mut self, positions: &[Position]) {
        for position in positions {
            if *position >= self.position {
                return;
            }
            if (self.holds)(*position) {
                self.position = *position;
                return;
            }
        }
    }
}

/// Routes by path.
#[derive(Debug, Default)]
struct Paths {
    any: Vec<Position>,
    tree: Node,
    patterns: Vec<(Position, Regex)>,
    /// The patterns in sets, where there are many.
    sets: Vec<Set>,
}

/// One segment of the paths.
#[derive(Debug, Default)]
struct Node {
    children: HashMap<Box<[u8]>, Self>,
    /// Routes with the path that ends here.
    here: Vec<Position>,
    /// Routes with all paths from here on.
    below: Vec<Position>,
}

/// Regular expressions that are matched together.
#[derive(Debug)]
struct Set {
    regexes: RegexSet,
    positions: Vec<Position>,
}

impl Paths {
    fn add(&mut self, paths: &[PathPattern], position: Position) {
        if paths.is_empty() {
            self.any.push(position);
        }
        for path in paths {
            match path {
                PathPattern::Exact(path) => note(&mut self.tree.grow(path).here, position),
                PathPattern::Prefix(path) => {
                    let path = path.strip_suffix(b"/").unwrap_or(path);
                    let node = if path.is_empty() { &mut self.tree } else { self.tree.grow(path) };
                    note(&mut node.below, position);
                }
                PathPattern::Regex(regex) => self.patterns.push((position, regex.clone())),
            }
        }
    }

    fn finish(&mut self) {
        if self.patterns.len() >= PATTERNS_FOR_A_SET {
            self.sets = sets(&self.patterns);
            let sets = &self.sets;
            let is_left =
                |position: &Position| !sets.iter().any(|set| set.positions.binary_search(position).is_ok());
            self.patterns.retain(|(position, _)| is_left(position));
        }
    }

    fn search<H: Fn(Position) -> bool>(&self, path: Option<&[u8]>, best: &mut Best<'_, H>) {
        best.look(&self.any);
        let Some(path) = path else { return };
        self.tree.search(path, best);
        for (position, regex) in &self.patterns {
            if *position < best.position && regex.is_match(path) {
                best.look(&[*position]);
            }
        }
        for set in &self.sets {
            if set.positions.first().is_none_or(|first| *first >= best.position) {
                continue;
            }
            for found in &set.regexes.matches(path) {
                best.look(set.positions.get(found..=found).unwrap_or_default());
            }
        }
    }
}

/// Two paths of one route may be one.
fn note(positions: &mut Vec<Position>, position: Position) {
    if positions.last() != Some(&position) {
        positions.push(position);
    }
}

impl Node {
    fn grow(&mut self, path: &[u8]) -> &mut Self {
        segments(path).fold(self, |node, segment| node.children.entry(segment.into()).or_default())
    }

    fn search<H: Fn(Position) -> bool>(&self, path: &[u8], best: &mut Best<'_, H>) {
        let mut node = self;
        best.look(&node.below);
        for segment in segments(path) {
            let Some(child) = node.children.get(segment) else { return };
            best.look(&child.below);
            node = child;
        }
        best.look(&node.here);
    }
}

/// As few sets as their automatons' bound allows; a pattern that fits into none is left out.
fn sets(patterns: &[(Position, Regex)]) -> Vec<Set> {
    let texts = patterns.iter().map(|(_, regex)| regex.as_str());
    match RegexSetBuilder::new(texts).size_limit(SET_BYTES).dfa_size_limit(SET_BYTES).build() {
        Ok(regexes) => {
            let positions = patterns.iter().map(|(position, _)| *position).collect();
            vec![Set { regexes, positions }]
        }
        Err(_) if patterns.len() < 2 => Vec::new(),
        Err(_) => {
            let (first, second) = patterns.split_at(patterns.len() / 2);
            let mut both = sets(first);
            both.extend(sets(second));
            both
        }
    }
}
