//! Values of the access log's keys: words, a template, a tag, and where a syslog daemon is.

use schemars::JsonSchema;

use super::checked::{Facility, LogPiece, Matter, SyslogAddress};
use super::read::{Cursor, Read};
use super::report::{Code, nearest};
use super::words::Words;
use crate::names::LogField;

/// How a line looks.
#[derive(Clone, Copy, Debug)]
pub(super) enum LogFormat {
    Json,
    Common,
    Combined,
}

/// A line with fields in braces.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline)]
pub(super) struct Template(#[schemars(with = "String")] pub(super) Vec<LogPiece>);

/// What we are called in the system's log: one word of visible ASCII, at most 48 (RFC 5424 section 6.2.5).
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline)]
pub(super) struct Tag(pub(super) String);

/// Where a syslog daemon listens: `unix:PATH` or `udp:ADDRESS:PORT`.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline)]
pub(super) struct SyslogPlace(#[schemars(with = "String")] pub(super) SyslogAddress);

impl Words for LogFormat {
    const WORDS: &'static [(&'static str, Self)] =
        &[("json", Self::Json), ("common", Self::Common), ("combined", Self::Combined)];
}

impl Words for Matter {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("errors", Self::Errors),
        ("client_errors", Self::ClientErrors),
        ("moved", Self::Moved),
        ("lost", Self::Lost),
        ("retried", Self::Retried),
    ];
}

impl Words for Facility {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("user", Self::User),
        ("daemon", Self::Daemon),
        ("local0", Self::Local(0)),
        ("local1", Self::Local(1)),
        ("local2", Self::Local(2)),
        ("local3", Self::Local(3)),
        ("local4", Self::Local(4)),
        ("local5", Self::Local(5)),
        ("local6", Self::Local(6)),
        ("local7", Self::Local(7)),
    ];
}

impl Read for Template {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let scalar = cursor.scalar("a text with fields in braces")?;
        match pieces(&scalar.text) {
            Ok(pieces) => Some(Self(pieces)),
            Err((message, help)) => {
                cursor.refuse(Code::BadValue, message, help);
                None
            }
        }
    }
}

/// The pieces of a template; or what is wrong, and what to do.
fn pieces(template: &str) -> Result<Vec<LogPiece>, (String, String)> {
    let (mut pieces, mut text, mut rest) = (Vec::new(), String::new(), template);
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        if let Some(behind) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
            text.extend(from.chars().next());
            rest = behind;
            continue;
        }
        let end = from.find('}').filter(|end| *end > 0);
        let name = end.and_then(|end| from.get(1..end));
        let Some(name) = name.filter(|_| from.starts_with('{')) else {
            let message = "a brace of the template has no partner".to_owned();
            return Err((
                message,
                "write fields as `{status}`, and a brace itself as `{{` or `}}`".to_owned(),
            ));
        };
        let Some(field) = LogField::from_name(name) else {
            let names = || LogField::ALL.into_iter().map(LogField::as_str);
            let help = match nearest(name, names()) {
                Some(near) => format!("did you mean `{{{near}}}`?"),
                None => format!("the fields are: {}", names().collect::<Vec<_>>().join(", ")),
            };
            return Err((format!("the access log has no field `{name}`"), help));
        };
        if !text.is_empty() {
            pieces.push(LogPiece::Text(std::mem::take(&mut text)));
        }
        pieces.push(LogPiece::Field(field));
        rest = from.get(name.len() + 2..).unwrap_or_default();
    }
    text.push_str(rest);
    if text.chars().any(char::is_control) {
        let help = "write it on one line; JSON lines are `format: json`".to_owned();
        return Err(("the template has a line's end or another control character".to_owned(), help));
    }
    if !text.is_empty() {
        pieces.push(LogPiece::Text(text));
    }
    if !pieces.iter().any(|piece| matches!(piece, LogPiece::Field(_))) {
        let help = "write fields in braces, such as `{time} {client} {path} {status}`".to_owned();
        return Err(("the template has no field: every line would be the same".to_owned(), help));
    }
    Ok(pieces)
}

impl Read for Tag {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let scalar = cursor.scalar("a word")?;
        let right = |text: &str| (1..=48).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
        if !right(&scalar.text) {
            let message = format!("`{}` cannot be a program's name in the system's log", scalar.shown());
            cursor.refuse(Code::BadValue, message, "write one word of 1 to 48 visible ASCII characters");
            return None;
        }
        Some(Self(scalar.text.clone()))
    }
}

impl Read for SyslogPlace {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let scalar = cursor.scalar("unix:PATH or udp:ADDRESS:PORT")?;
        let text = scalar.text.trim();
        let path = text.strip_prefix("unix:").filter(|path| !path.is_empty() && !path.contains('\0'));
        if let Some(path) = path {
            return Some(Self(SyslogAddress::Unix(path.into())));
        }
        if let Some(address) = text.strip_prefix("udp:")
            && let Ok(address) = address.parse()
        {
            return Some(Self(SyslogAddress::Udp(address)));
        }
        let help = "write `unix:/dev/log`, or `udp:10.0.0.9:514` with an IP address and a port";
        let message = format!("`{}` is not where a syslog daemon can be", scalar.shown());
        cursor.refuse(Code::BadValue, message, help);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_text_and_fields() {
        let found = pieces("a {{{status}}} {path}").unwrap();
        let expected = [
            LogPiece::Text("a {".to_owned()),
            LogPiece::Field(LogField::Status),
            LogPiece::Text("} ".to_owned()),
            LogPiece::Field(LogField::Path),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_wrong_with_a_template_is_said() {
        for (template, fault, help) in [
            ("{stauts}", "no field `stauts`", "`{status}`"),
            ("{cookie}", "no field `cookie`", "the fields are: time,"),
            ("{status", "no partner", "`{{`"),
            ("status}", "no partner", "`{{`"),
            ("{}", "no field ``", "the fields are"),
            ("status", "no field", "in braces"),
            ("{status}\n", "line's end", "one line"),
        ] {
            let (message, said) = pieces(template).unwrap_err();
            assert!(message.contains(fault) && said.contains(help), "{template}: {message}; {said}");
        }
    }
}
