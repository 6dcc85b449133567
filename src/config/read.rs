//! Reads the tree into the model, and goes on after a problem.
//!
//! A model type says its keys once, with [`keys!`]: names, types, defaults and documentation. Reading, the JSON
//! Schema and the reference follow from that one place, so that they cannot disagree. A default is the
//! YAML text that would have the same effect.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::mask;
use super::report::{Code, Finding, Place, Report, nearest};
use super::yaml::{self, Node, Scalar, Span, Value};

/// A type that can be read from a place in the tree.
pub(super) trait Read: Sized {
    /// The value; `None` once its problems are reported.
    fn read(cursor: &Cursor<'_>) -> Option<Self>;
}

/// A value and its place in the file; for an absent key, its default and the place of the mapping.
#[derive(Debug)]
pub(super) struct Spanned<T> {
    pub(super) place: Place,
    /// Whether the file says it.
    pub(super) given: bool,
    /// `None`: a problem of it is reported already.
    pub(super) value: Option<T>,
}

impl<T> Spanned<T> {
    pub(super) fn get(&self) -> Option<&T> {
        self.value.as_ref()
    }
}

impl<T: Read> Spanned<T> {
    pub(super) fn read(cursor: &Cursor<'_>) -> Self {
        Self { place: cursor.place.clone(), given: true, value: T::read(cursor) }
    }
}

impl<T: JsonSchema> JsonSchema for Spanned<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// One key of a mapping.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) name: &'static str,
    /// YAML text; `None`: the key has to be there.
    pub(super) default: Option<&'static str>,
}

/// A key that is understood, but refused, with what to do instead.
#[derive(Debug)]
pub(super) struct Refused {
    name: &'static str,
    message: &'static str,
    help: &'static str,
}

/// A key that a later release will know.
pub(super) const fn later(name: &'static str) -> Refused {
    instead(name, "remove it; this release works without it")
}

/// A key that a later release will know, with what to do until then.
pub(super) const fn instead(name: &'static str, help: &'static str) -> Refused {
    Refused { name, message: "is not supported yet", help }
}

/// A key of somebody else's vocabulary, with what has the same effect here.
pub(super) const fn elsewhere(name: &'static str, help: &'static str) -> Refused {
    Refused { name, message: "is not a setting of Steadfast", help }
}

/// A mapping with known keys.
pub(super) trait Keys {
    /// The keys that it may have.
    const KNOWN: &'static [Known];
    /// The keys that are explained rather than unknown.
    const REFUSED: &'static [Refused];
}

/// A field's name as a key: one that is a word of Rust, such as `match`, is written `r#match` there.
pub(super) const fn key(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

/// Declares a model type: `name: Type` is a key that has to be there, `name: Type = "text"` one whose default
/// is that YAML text; `refused [..]` lists the keys that are explained rather than unknown.
macro_rules! keys {
    (
        $(#[$outer:meta])*
        struct $name:ident {
            $( $(#[$meta:meta])* $field:ident: $ty:ty $(= $default:literal)?, )*
        }
        $(refused [ $($refused:expr),* $(,)? ])?
    ) => {
        $(#[$outer])*
        #[derive(Debug, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields, transform = $crate::config::schema::complete::<$name>)]
        pub(in crate::config) struct $name {
            $( $(#[$meta])* pub(in crate::config) $field: $crate::config::read::Spanned<$ty>, )*
        }

        impl $crate::config::read::Keys for $name {
            const KNOWN: &'static [$crate::config::read::Known] = &[
                $( $crate::config::read::Known {
                    name: $crate::config::read::key(stringify!($field)),
                    default: [$(Some($default),)? None][0],
                }, )*
            ];
            const REFUSED: &'static [$crate::config::read::Refused] = &[$($($refused),*)?];
        }

        impl $crate::config::read::Read for $name {
            fn read(cursor: &$crate::config::read::Cursor<'_>) -> Option<Self> {
                let mapping = cursor.known_keys::<Self>()?;
                Some(Self { $( $field: mapping.take($crate::config::read::key(stringify!($field))), )* })
            }
        }
    };
}
pub(super) use keys;

/// A node, the place that its problems are reported at, and the report.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    node: &'a Node,
    place: Place,
    report: &'a Report<'a>,
}

impl<'a> Cursor<'a> {
    pub(super) fn root(node: &'a Node, report: &'a Report<'a>) -> Self {
        Self { node, place: place(node.span, "".into()), report }
    }

    /// The same problems, at another node.
    pub(super) fn at<'n>(&self, node: &'n Node) -> Cursor<'n>
    where
        'a: 'n,
    {
        Cursor { node, place: place(node.span, Arc::clone(&self.place.key)), report: self.report }
    }

    /// What messages call the value.
    pub(super) fn name(&self) -> &str {
        self.place.name()
    }

    pub(super) fn report(&self, finding: Finding) {
        self.report.add(finding);
    }

    /// Reports that the value is not as it has to be.
    pub(super) fn refuse(&self, code: Code, message: impl Into<String>, help: impl Into<String>) {
        self.report(Finding::error(code, &self.place, message).help(help));
    }

    /// The scalar that stands here; anything else is reported as not being `wanted`.
    pub(super) fn scalar(&self, wanted: &str) -> Option<&'a Scalar> {
        match &self.node.value {
            Value::Scalar(scalar) if scalar.is_null() => self.absent(wanted),
            Value::Scalar(scalar) => return Some(scalar),
            Value::List(_) => self.wrong_kind(wanted, "a list", "write one value, without brackets or `-`"),
            Value::Mapping(_) => self.wrong_kind(wanted, "a mapping", "write one value, without keys"),
            Value::Broken => {}
        }
        None
    }

    /// The scalar, if it is one, without a report.
    pub(super) fn peek(&self) -> Option<&'a Scalar> {
        match &self.node.value {
            Value::Scalar(scalar) => Some(scalar),
            Value::List(_) | Value::Mapping(_) | Value::Broken => None,
        }
    }

    /// Whether a list stands here.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    /// Whether a mapping stands here.
    pub(super) fn is_mapping(&self) -> bool {
        matches!(self.node.value, Value::Mapping(_))
    }

    /// The items of the list that stands here.
    pub(super) fn items(&self) -> Option<Vec<Self>> {
        const WANTED: &str = "a list";
        match &self.node.value {
            Value::List(items) => {
                let item = |(index, node): (usize, &'a Node)| {
                    // The index is in the path only: messages speak of the list's own name.
                    let key = format!("{}[{index}]", self.place.key);
                    Self { node, place: place(node.span, key.into()), report: self.report }
                };
                return Some(items.iter().enumerate().map(item).collect());
            }
            Value::Scalar(scalar) if scalar.is_null() => self.absent(WANTED),
            Value::Scalar(_) => self.wrong_kind(WANTED, "a single value", "write it in brackets: `[ … ]`"),
            Value::Mapping(_) => self.wrong_kind(WANTED, "a mapping", "begin each entry with `- `"),
            Value::Broken => {}
        }
        None
    }

    /// The entries of the mapping that stands here, repeated keys reported and left out.
    pub(super) fn entries(&self, help: &str) -> Option<Vec<(&'a yaml::Key, Self)>> {
        const WANTED: &str = "a mapping";
        match &self.node.value {
            Value::Mapping(entries) => return Some(self.unrepeated(entries)),
            Value::Scalar(scalar) if scalar.is_null() => self.absent(WANTED),
            Value::Scalar(_) => self.wrong_kind(WANTED, "a single value", help),
            Value::List(_) => self.wrong_kind(WANTED, "a list", help),
            Value::Broken => {}
        }
        None
    }

    fn unrepeated(&self, entries: &'a [(yaml::Key, Node)]) -> Vec<(&'a yaml::Key, Self)> {
        let mut seen: Vec<(&yaml::Key, Self)> = Vec::with_capacity(entries.len());
        let mut lines = std::collections::HashMap::with_capacity(entries.len());
        for (key, node) in entries {
            let path = self.path(&key.text);
            if let Some(first) = lines.insert(key.text.as_str(), key.span.line) {
                lines.insert(&key.text, first);
                let message = format!("`{}` is given twice", key.text);
                let finding = Finding::error(Code::Duplicate, &place(key.span, path.into()), message);
                self.report(finding.help(format!("the first is on line {first}; keep one of them")));
                continue;
            }
            seen.push((key, Self { node, place: place(node.span, path.into()), report: self.report }));
        }
        seen
    }

    /// The mapping that stands here, its unknown keys reported.
    pub(super) fn known_keys<K: Keys>(&self) -> Option<Mapping<'a>> {
        let names = K::KNOWN.iter().map(|known| known.name);
        let listed = names.clone().collect::<Vec<_>>().join(", ");
        let (known, unknown) = self
            .entries(&format!("its keys are: {listed}"))?
            .into_iter()
            .partition(|(key, _)| K::KNOWN.iter().any(|known| known.name == key.text));
        let unknown: Vec<(&yaml::Key, Self)> = unknown;
        for (key, cursor) in unknown {
            let mut place = place(key.span, Place::clone(&cursor.place).key);
            let refused = K::REFUSED.iter().find(|refused| refused.name == key.text);
            let (code, message, help) = match refused {
                Some(Refused { name, message, help }) => {
                    (Code::NotSupported, format!("`{name}` {message}"), (*help).to_owned())
                }
                None => {
                    let help = match nearest(&key.text, names.clone()) {
                        Some(known) => format!("did you mean `{known}`?"),
                        None if K::KNOWN.is_empty() => "no key is known here; remove it".to_owned(),
                        None => format!("known here: {listed}"),
                    };
                    let message = mask::unknown_key(&self.place.key, &key.text);
                    if !message.contains(&key.text) {
                        place.key = Arc::clone(&self.place.key);
                    }
                    (Code::UnknownKey, message, help)
                }
            };
            self.report(Finding::error(code, &place, message).help(help));
        }
        Some(Mapping { cursor: self.clone(), entries: known, known: K::KNOWN })
    }

    fn path(&self, key: &str) -> String {
        if self.place.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place.key) }
    }

    fn absent(&self, wanted: &str) {
        let message = format!("`{}` has no value", self.name());
        self.refuse(
            Code::WrongType,
            message,
            format!("write {wanted}; or leave out the key, if it has a default"),
        );
    }

    fn wrong_kind(&self, wanted: &str, found: &str, help: &str) {
        let name = self.name();
        let message = if name.is_empty() {
            format!("the file must be {wanted}, not {found}")
        } else {
            format!("`{name}` must be {wanted}, not {found}")
        };
        self.refuse(Code::WrongType, message, help);
    }
}

/// A mapping on its way to becoming a model type.
#[derive(Debug)]
pub(super) struct Mapping<'a> {
    cursor: Cursor<'a>,
    entries: Vec<(&'a yaml::Key, Cursor<'a>)>,
    known: &'static [Known],
}

impl Mapping<'_> {
    /// Reads one key, or its default; reports it where it has to be and is not.
    pub(super) fn take<T: Read>(&self, name: &'static str) -> Spanned<T> {
        if let Some((_, cursor)) = self.entries.iter().find(|(key, _)| key.text == name) {
            return Spanned::read(cursor);
        }
        let place = Place { key: self.cursor.path(name).into(), ..self.cursor.place.clone() };
        let default = self.known.iter().find(|known| known.name == name).and_then(|known| known.default);
        let Some(default) = default else {
            let owner = Some(self.cursor.name()).filter(|owner| !owner.is_empty());
            let inside = owner.map(|owner| format!(" in `{owner}`")).unwrap_or_default();
            let finding = Finding::error(Code::MissingKey, &place, format!("`{name}` is missing{inside}"));
            self.cursor.report(finding.help(format!("add `{name}: …` here")));
            return Spanned { place, given: false, value: None };
        };
        let node = default_node(default);
        let cursor = Cursor { node: &node, place: place.clone(), report: self.cursor.report };
        Spanned { place, given: false, value: T::read(&cursor) }
    }
}

/// A default as a tree; a test reads every default.
pub(super) fn default_node(text: &str) -> Node {
    yaml::parse(text).unwrap_or_else(|_| Node { span: Span::default(), value: Value::Broken })
}

impl Scalar {
    /// Whether it is YAML's null.
    pub(super) fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// The text for a message: short, and without what came from the environment.
    pub(super) fn shown(&self) -> String {
        const LONGEST: usize = 60;
        let text = self.written.as_ref().unwrap_or(&self.text).trim_end();
        match text.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
            None => text.to_owned(),
        }
    }
}

fn place(span: Span, key: Arc<str>) -> Place {
    Place { line: span.line, column: span.column, width: span.width, key }
}
