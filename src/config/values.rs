//! Typed reading of a section that was checked: the value that is written, or the table's default.

use std::time::Duration;

use super::kind::{Kind, Section, decimal, integer};
use super::node::{At, Node, Value};
use super::units;

/// A section with its keys; absent sections have defaults only.
#[derive(Clone, Copy)]
pub(super) struct Values<'n> {
    node: Option<&'n Node>,
    section: &'static Section,
}

impl<'n> Values<'n> {
    pub(super) fn new(node: &'n Node, section: &'static Section) -> Self {
        Self { node: Some(node), section }
    }

    /// Where a key's value stands; else where the section stands.
    pub(super) fn at(&self, key: &str) -> At {
        let section = || self.node.map_or(At { line: 1, column: 1 }, |node| node.at);
        self.written(key).map_or_else(section, |node| node.at)
    }

    /// Whether the key is written, with a value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.written(key).is_some()
    }

    pub(super) fn written(&self, key: &str) -> Option<&'n Node> {
        let entry = self.node?.entries().iter().find(|entry| entry.key == key)?;
        Some(&entry.value).filter(|node| !node.is_null())
    }

    pub(super) fn section(&self, key: &str) -> Values<'n> {
        let section = match self.section.key(key).map(|key| &key.kind) {
            Some(Kind::Section(section) | Kind::Switch(section)) => section,
            _ => self.section,
        };
        Values { node: self.written(key), section }
    }

    /// The sections of a list.
    pub(super) fn sections(&self, key: &str) -> Vec<Values<'n>> {
        let section = match self.section.key(key).map(|key| &key.kind) {
            Some(Kind::List(Kind::Section(section))) => section,
            _ => self.section,
        };
        self.items(key).iter().map(|node| Values::new(node, section)).collect()
    }

    /// The named sections, with the names' positions.
    pub(super) fn named(&self, key: &str) -> Vec<(&'n str, At, Values<'n>)> {
        let section = match self.section.key(key).map(|key| &key.kind) {
            Some(Kind::Named(section)) => section,
            _ => self.section,
        };
        let entries = self.written(key).map(Node::entries).unwrap_or_default();
        entries
            .iter()
            .map(|entry| (entry.key.as_str(), entry.at, Values::new(&entry.value, section)))
            .collect()
    }

    pub(super) fn items(&self, key: &str) -> &'n [Node] {
        self.written(key).map(Node::items).unwrap_or_default()
    }

    /// The texts of a list or of a single value, with their positions; the default if nothing is written.
    pub(super) fn texts(&self, key: &str) -> Vec<(String, At)> {
        match self.written(key) {
            Some(node) => node.items().iter().filter_map(|item| Some((item.text()?, item.at))).collect(),
            None => {
                let default = self.default(key).trim_matches(['[', ']']);
                let words = default.split(',').map(str::trim).filter(|word| !word.is_empty());
                words.map(|word| (word.to_owned(), self.at(key))).collect()
            }
        }
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        match self.written(key) {
            Some(node) => node.text(),
            None => Some(self.default(key)).filter(|default| !default.is_empty()).map(str::to_owned),
        }
    }

    /// The word, as written or by default; empty if what is written is no text.
    pub(super) fn word(&self, key: &str) -> String {
        self.text(key).unwrap_or_default()
    }

    pub(super) fn integer(&self, key: &str) -> i128 {
        let default = || self.default(key).parse().unwrap_or(0);
        self.written(key).and_then(integer).unwrap_or_else(default)
    }

    /// The integer as a narrower type; the default where what is written does not fit, which the check has said.
    pub(super) fn number<T: TryFrom<i128> + std::str::FromStr + Default>(&self, key: &str) -> T {
        T::try_from(self.integer(key)).unwrap_or_else(|_| self.default(key).parse().unwrap_or_default())
    }

    pub(super) fn decimal(&self, key: &str) -> f64 {
        let default = || self.default(key).parse().unwrap_or(1.0);
        self.written(key).and_then(decimal).unwrap_or_else(default)
    }

    pub(super) fn boolean(&self, key: &str) -> bool {
        match self.written(key).map(|node| &node.value) {
            Some(Value::Boolean(value)) => *value,
            Some(Value::Text(text)) => text == "true",
            _ => self.default(key) == "true",
        }
    }

    pub(super) fn duration(&self, key: &str) -> Duration {
        self.optional_duration(key).unwrap_or_default()
    }

    /// The duration; the default where what is written is none, which the check has said.
    pub(super) fn optional_duration(&self, key: &str) -> Option<Duration> {
        let written =
            self.written(key).filter(|node| matches!(node.value, Value::Text(_))).and_then(Node::text);
        written
            .and_then(|text| units::duration(&text).ok())
            .or_else(|| units::duration(self.default(key)).ok())
    }

    pub(super) fn optional_size(&self, key: &str) -> Option<u64> {
        units::size(&self.text(key)?).ok()
    }

    pub(super) fn size(&self, key: &str) -> usize {
        self.optional_size(key).and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX)
    }

    fn default(&self, key: &str) -> &'static str {
        self.section.key(key).map_or("", |key| key.default)
    }
}
