//! What a key's value must look like, and the check of a whole tree against it.

use std::net::SocketAddr;

use super::node::{Node, Value};
use super::report::{Report, advice};
use super::units;

/// A section: its keys, and what it is called in messages.
#[derive(Debug)]
pub(super) struct Section {
    /// With its article: "a backend".
    pub(super) called: &'static str,
    pub(super) keys: &'static [Key],
}

/// One key of a section.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// As YAML; empty: none.
    pub(super) default: &'static str,
    pub(super) required: bool,
    pub(super) doc: &'static str,
}

/// What a value must look like.
#[derive(Debug)]
pub(super) enum Kind {
    Text,
    /// Relative to the configuration file.
    Path,
    Integer {
        min: i128,
        max: i128,
    },
    /// A number of at least 1.
    Factor,
    Boolean,
    /// With a unit; zero only where it means something.
    Duration {
        zero: bool,
    },
    Size,
    Word(&'static [&'static str]),
    SocketAddress,
    Network,
    /// A name that a cookie, a header or a parameter may have (RFC 9110 token).
    Token,
    StatusRange,
    List(&'static Kind),
    /// One, or a list.
    OneOrMore(&'static Kind),
    Section(&'static Section),
    /// `true`, or a section with details.
    Switch(&'static Section),
    /// Names of the operator's choice, each with a section.
    Named(&'static Section),
    /// Known, but of a later release.
    NotYet,
}

impl Section {
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    fn names(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.keys.iter().filter(|key| !matches!(key.kind, Kind::NotYet)).map(|key| key.name)
    }
}

/// Checks a section and all that is below it.
pub(super) fn check_section(node: &Node, section: &Section, report: &mut Report<'_>) {
    if !matches!(node.value, Value::Map(_)) {
        let help = format!(
            "its keys are {}",
            section.names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        );
        report.error(
            node.at,
            format!("{} is a section of keys, not {}", section.called, node.what()),
            Some(help),
        );
        return;
    }
    for entry in node.entries() {
        match section.key(&entry.key) {
            Some(Key { kind: Kind::NotYet, .. }) => {
                let help = "remove it: this release does without".to_owned();
                report.error(entry.at, format!("`{}` is not supported yet", entry.key), Some(help));
            }
            Some(key) => check(&entry.value, &key.kind, key.name, report),
            None => {
                let message = format!("unknown key `{}` in {}", entry.key, section.called);
                report.error(entry.at, message, advice(&entry.key, section.names()));
            }
        }
    }
    for key in section.keys.iter().filter(|key| key.required) {
        if !node.entries().iter().any(|entry| entry.key == key.name) {
            report.error(
                node.at,
                format!("{} needs `{}`", section.called, key.name),
                Some(key.doc.to_owned()),
            );
        }
    }
}

fn check(node: &Node, kind: &Kind, key: &str, report: &mut Report<'_>) {
    if node.is_null() {
        // `key:` and `key: null` are the default.
        return;
    }
    let wrong = |expected: &str| (format!("`{key}` is {expected}, not {}", node.what()), None::<String>);
    let problem = match kind {
        Kind::Text | Kind::Path => node.text().is_none().then(|| wrong("text")),
        Kind::Token => match node.text() {
            Some(text) if is_token(&text) => None,
            Some(text) => {
                let help = "letters, digits and any of !#$%&'*+-.^_`|~ make a name".to_owned();
                Some((format!("`{text}` cannot be the name of a cookie, header or parameter"), Some(help)))
            }
            None => Some(wrong("a name")),
        },
        Kind::Integer { min, max } => match integer(node) {
            Some(number) if (*min..=*max).contains(&number) => None,
            Some(number) => {
                Some((format!("`{key}` is {number}"), Some(format!("it goes from {min} to {max}"))))
            }
            None => Some(wrong("a whole number")),
        },
        Kind::Factor => match decimal(node) {
            Some(factor) if (1.0..=1000.0).contains(&factor) => None,
            Some(factor) => Some((
                format!("`{key}` is {factor}"),
                Some("it goes from 1 (no backend above its share) to 1000".to_owned()),
            )),
            None => Some(wrong("a number")),
        },
        Kind::Boolean => match &node.value {
            Value::Boolean(_) => None,
            Value::Text(text) if node.expanded && (text == "true" || text == "false") => None,
            _ => Some(with_help(wrong("true or false"), "write true or false, without quotes")),
        },
        Kind::Duration { zero } => check_duration(node, key, *zero),
        Kind::Size => match (&node.value, node.text()) {
            (Value::Integer(number), _) => {
                Some((format!("`{key}` has no unit"), Some(format!("write `{number}B` or, say, `64KiB`"))))
            }
            (_, Some(text)) => units::size(&text).err().map(|error| {
                (
                    format!("`{text}` is no size: {error}"),
                    Some("write a number with a unit: `64KiB`, `1MB`".to_owned()),
                )
            }),
            (_, None) => Some(wrong("a size")),
        },
        Kind::Word(words) => match node.text() {
            Some(text) if words.contains(&text.as_str()) => None,
            Some(text) => Some((format!("`{key}` cannot be `{text}`"), advice(&text, words.iter().copied()))),
            None => Some(with_help(wrong("a word"), &format!("one of {}", words.join(", ")))),
        },
        Kind::SocketAddress => match node.text() {
            Some(text) => check_address(&text),
            None => Some(wrong("an address with a port")),
        },
        Kind::Network => match node.text() {
            Some(text) if network(&text).is_some() => None,
            Some(text) => Some((
                format!("`{text}` is no network"),
                Some("write an address or a prefix: `10.0.0.0/8`, `::1`".to_owned()),
            )),
            None => Some(wrong("a network")),
        },
        Kind::StatusRange => match node.text() {
            Some(text) if units::status_range(&text).is_some() => None,
            Some(text) => Some((
                format!("`{text}` is no range of status codes"),
                Some("write `200-399` or `204`, between 100 and 599".to_owned()),
            )),
            None => Some(wrong("a status code or a range of them")),
        },
        Kind::List(item) => match &node.value {
            Value::List(items) => return items.iter().for_each(|node| check(node, item, key, report)),
            _ => Some(with_help(wrong("a list"), "write `[ … ]`, or one line `- …` for each item")),
        },
        Kind::OneOrMore(item) => return node.items().iter().for_each(|node| check(node, item, key, report)),
        Kind::Section(section) => return check_section(node, section, report),
        Kind::Switch(section) => match &node.value {
            Value::Boolean(_) => None,
            _ => return check_section(node, section, report),
        },
        Kind::Named(section) => match &node.value {
            Value::Map(entries) => {
                return entries.iter().for_each(|entry| check_section(&entry.value, section, report));
            }
            _ => Some(with_help(wrong("a section of names"), "write each name as a key of its own")),
        },
        Kind::NotYet => None,
    };
    if let Some((message, help)) = problem {
        report.error(node.at, message, help);
    }
}

type Wrong = (String, Option<String>);

fn with_help((message, _): Wrong, help: &str) -> Wrong {
    (message, Some(help.to_owned()))
}

fn check_duration(node: &Node, key: &str, zero: bool) -> Option<Wrong> {
    if let Value::Integer(number) = &node.value {
        return Some((format!("`{key}` has no unit"), Some(format!("write `{number}s` or `{number}ms`"))));
    }
    let Some(text) = node.text() else {
        return Some((format!("`{key}` is a duration, not {}", node.what()), None));
    };
    match units::duration(&text) {
        Ok(duration) if duration.is_zero() && !zero => Some((
            format!("`{key}` cannot be zero"),
            Some("write a duration with a unit: `250ms`, `30s`, `5m`".to_owned()),
        )),
        Ok(_) => None,
        Err(error) => Some((
            format!("`{text}` is no duration: {error}"),
            Some("write a number with a unit: `250ms`, `30s`, `5m`, `1h`".to_owned()),
        )),
    }
}

fn check_address(text: &str) -> Option<Wrong> {
    if text.parse::<SocketAddr>().is_ok() {
        return None;
    }
    let message = format!("`{text}` is no address with a port");
    let help = if text.parse::<std::net::IpAddr>().is_ok() {
        "add the port: `127.0.0.1:8080`, `[::1]:8080`"
    } else if text.starts_with(|first: char| first.is_ascii_alphabetic()) {
        "host names are not looked up yet: write the IP address and the port, `10.0.0.11:8080`"
    } else {
        "write the IP address and the port: `10.0.0.11:8080`, `[2001:db8::1]:8080`"
    };
    Some((message, Some(help.to_owned())))
}

pub(super) fn integer(node: &Node) -> Option<i128> {
    match &node.value {
        Value::Integer(number) => Some(*number),
        Value::Text(text) if node.expanded => text.parse().ok(),
        Value::Null
        | Value::Boolean(_)
        | Value::Decimal(_)
        | Value::Text(_)
        | Value::List(_)
        | Value::Map(_) => None,
    }
}

pub(super) fn decimal(node: &Node) -> Option<f64> {
    match &node.value {
        Value::Decimal(number) => Some(*number),
        #[expect(clippy::cast_precision_loss, reason = "a factor that large is refused anyway")]
        Value::Integer(number) => Some(*number as f64),
        Value::Text(text) if node.expanded => text.parse().ok(),
        Value::Null | Value::Boolean(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => None,
    }
}

pub(super) fn network(text: &str) -> Option<ipnet::IpNet> {
    text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(ipnet::IpNet::from))
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
