//! Texts with pieces of the request in braces.

use schemars::JsonSchema;

use super::checked::{self, Piece};
use super::read::{Cursor, Read};
use super::report::{Code, nearest};

/// A text with pieces of the request in braces, such as `/new{rest}`; `{{` is a brace.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline, extend("x-type" = "text with pieces"))]
pub(super) struct Template(#[schemars(with = "String")] pub(super) checked::Template);

const PIECES: [(&str, Piece); 7] = [
    ("scheme", Piece::Scheme),
    ("host", Piece::Host),
    ("path", Piece::Path),
    ("rest", Piece::Rest),
    ("query", Piece::Query),
    ("client", Piece::Client),
    ("request_id", Piece::RequestId),
];

impl Read for Template {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        let scalar = cursor.scalar("a text")?;
        let refuse = |message: String, help: String| {
            cursor.refuse(Code::BadValue, message, help);
            None
        };
        if scalar.text.chars().any(char::is_control) {
            let message = format!("`{}` has a line break or another control character", cursor.name());
            return refuse(message, "write it on one line".to_owned());
        }
        match parse(&scalar.text) {
            Ok(pieces) => Some(Self(checked::Template(pieces))),
            Err(None) => refuse(
                format!("`{}` has a brace that is not closed", scalar.shown()),
                "write `{{` for a brace that is meant as such".to_owned(),
            ),
            Err(Some(word)) => {
                let names = PIECES.iter().map(|(name, _)| *name);
                let help = match nearest(&word, names.clone()) {
                    Some(near) => format!("did you mean `{{{near}}}`?"),
                    None => format!("pieces are: {}", names.collect::<Vec<_>>().join(", ")),
                };
                refuse(format!("`{{{word}}}` is no piece of a request"), help)
            }
        }
    }
}

/// The pieces; or the word in braces that is none, if it was closed at all.
fn parse(text: &str) -> Result<Vec<Piece>, Option<String>> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
            plain.extend(from.chars().next());
            rest = after;
            continue;
        }
        let (word, after) = from.strip_prefix('{').and_then(|from| from.split_once('}')).ok_or(None)?;
        let piece = PIECES.iter().find(|(name, _)| *name == word);
        let (_, piece) = piece.ok_or_else(|| Some(word.to_owned()))?;
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        pieces.push(piece.clone());
        rest = after;
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_hold_pieces() {
        let text = |text: &str| Piece::Text(text.to_owned());
        assert_eq!(parse("/new{rest}{query}"), Ok(vec![text("/new"), Piece::Rest, Piece::Query]));
        assert_eq!(parse("a{{b}}{host}c"), Ok(vec![text("a{b}"), Piece::Host, text("c")]));
        assert_eq!(parse(""), Ok(Vec::new()));
        assert_eq!(parse("{path"), Err(None));
        assert_eq!(parse("path}"), Err(None));
        assert_eq!(parse("{url}"), Err(Some("url".to_owned())));
    }
}
