//! YAML text → a tree that knows where everything stands.
//!
//! The only file that knows the YAML crate. It parses into a tree rather than into the model, because serde
//! stops at the first error, and a configuration's problems are to be found all at once.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Location, SnippetMode, Spanned, UserMessageFormatter};

/// Bounds that no real configuration meets, but a bomb does.
const MAX_NODES: usize = 500_000;
const MAX_REPLAYED: usize = 100_000;
const MAX_DEPTH: usize = 32;

/// A value, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) value: Value,
}

/// Where something stands: line and column from 1, and how many characters it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) width: usize,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// A single value; what it means is for the key to say.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file, repeated keys included.
    Mapping(Vec<(Key, Node)>),
    /// Something whose problem is reported already.
    Broken,
}

/// A single value as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scalar {
    /// The text, unquoted, variables expanded.
    pub(super) text: String,
    /// As it stands in the file, where variables were expanded: messages must not show what came from outside.
    pub(super) written: Option<String>,
    /// Whether it stands without quotes, and so may be a number, a boolean or null.
    pub(super) plain: bool,
}

/// A key, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) span: Span,
    pub(super) text: String,
}

/// Why a text is not YAML.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) span: Span,
    pub(super) message: String,
}

impl Node {
    /// Whether nothing at all stands there.
    pub(super) fn is_empty(&self) -> bool {
        matches!(&self.value, Value::Scalar(Scalar { text, plain: true, .. }) if text.is_empty())
    }
}

/// Parses one document.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: MAX_NODES,
            max_depth: MAX_DEPTH,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_REPLAYED },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        // What a number means, and whether it may be one, is for the key to say.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options::<Spanned<Tree>>(text, options)
        .map(|tree| node(tree, text))
        .map_err(|error| syntax_error(&error))
}

fn syntax_error(error: &serde_saphyr::Error) -> SyntaxError {
    let rendered = error.render_with_options(serde_saphyr::render_options! {
        formatter: &UserMessageFormatter,
        snippets: SnippetMode::Off,
    });
    let location = error.location().unwrap_or(Location::UNKNOWN);
    // The position stands in front of our message; the crate's own wording of it goes.
    let message = rendered.split(" at line ").next().unwrap_or_default();
    let message = match message.lines().next().unwrap_or_default().trim_end_matches('.') {
        message if message.contains("Documents") => "a second document begins here",
        message if message.contains("too large or too complex") => "the document is too large or too complex",
        message => message,
    };
    let message = message.to_owned();
    SyntaxError { span: Span { width: 1, ..span(location) }, message }
}

fn span(location: Location) -> Span {
    let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    Span {
        line: number(location.line()),
        column: number(location.column()),
        width: number(location.span().len()),
    }
}

/// The tree as the parser gives it.
#[derive(Debug)]
enum Tree {
    Text(String),
    /// A number, boolean or null: its text is taken from the file, since `1.10` is no version if it becomes 1.1.
    Other,
    List(Vec<Spanned<Self>>),
    Mapping(Vec<(Spanned<String>, Spanned<Self>)>),
}

fn node(tree: Spanned<Tree>, text: &str) -> Node {
    // The place of definition, where an alias stands elsewhere: that is what has to be corrected.
    let at = tree.defined;
    let written = at
        .span()
        .byte_offset()
        .zip(at.span().byte_len())
        .and_then(|(start, length)| {
            let start = usize::try_from(start).ok()?;
            text.get(start..start.checked_add(usize::try_from(length).ok()?)?)
        })
        .unwrap_or_default();
    let value = match tree.value {
        Tree::Text(value) => {
            let plain = !written.starts_with(['"', '\'', '|', '>']);
            Value::Scalar(Scalar { text: value, written: None, plain })
        }
        Tree::Other => Value::Scalar(Scalar { text: written.trim().to_owned(), written: None, plain: true }),
        Tree::List(items) => Value::List(items.into_iter().map(|item| node(item, text)).collect()),
        Tree::Mapping(entries) => Value::Mapping(
            entries
                .into_iter()
                .map(|(key, value)| {
                    let span = span(key.defined);
                    (Key { span, text: key.value }, node(value, text))
                })
                .collect(),
        ),
    };
    let first_line = written.lines().next().unwrap_or_default().trim_end().chars().count();
    Node { span: Span { width: first_line, ..span(at) }, value }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a mapping")
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Tree::Mapping(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<(Key, Node)> {
        let Value::Mapping(entries) = parse(text).expect("valid YAML").value else {
            panic!("a mapping was written: {text}")
        };
        entries
    }

    fn scalar(text: &str) -> Scalar {
        let Value::Scalar(scalar) = entries(text).remove(0).1.value else {
            panic!("a scalar was written: {text}")
        };
        scalar
    }

    #[test]
    fn scalars_keep_their_text() {
        let cases = [
            ("a: 1.10", "1.10", true),
            ("a: 0x1F # hex", "0x1F", true),
            ("a: 010", "010", true),
            ("a: 1_000", "1_000", true),
            ("a: yes", "yes", true),
            ("a: true", "true", true),
            ("a:", "", true),
            ("a: ~", "~", true),
            ("a: null", "null", true),
            ("a: 1e400", "1e400", true),
            ("a: .inf", ".inf", true),
            ("a: 99999999999999999999", "99999999999999999999", true),
            ("a: 10.0.0.1:80", "10.0.0.1:80", true),
            ("a: \"true\"", "true", false),
            ("a: '12'", "12", false),
        ];
        for (yaml, text, plain) in cases {
            let found = scalar(yaml);
            assert_eq!((found.text.as_str(), found.plain), (text, plain), "{yaml}");
        }
    }

    #[test]
    fn positions_count_characters_from_one() {
        let found = entries("# ü\na: { ü: 1, bb: [x, \"yy\"] }\n");
        let Value::Mapping(inner) = &found[0].1.value else { panic!("a mapping") };
        assert_eq!(inner[1].0.span, Span { line: 2, column: 12, width: 2 });
        let Value::List(items) = &inner[1].1.value else { panic!("a list") };
        assert_eq!(items[1].span, Span { line: 2, column: 20, width: 4 });
    }

    #[test]
    fn repeated_keys_are_kept_for_the_reader() {
        assert_eq!(entries("a: 1\nb: 2\na: 3\n").len(), 3);
    }

    #[test]
    fn an_alias_points_at_its_definition() {
        let found = entries("a: &x 12\nb: *x\n");
        assert_eq!(found[1].1.span.line, 1);
    }

    #[test]
    fn bombs_are_refused() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let below = level - 1;
            bomb += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{below}"); 10].join(", "));
        }
        assert!(parse(&bomb).is_err());
        assert!(parse(&"[".repeat(10_000)).is_err());
        assert!(parse("a: 1\n---\nb: 2\n").is_err());
    }
}
