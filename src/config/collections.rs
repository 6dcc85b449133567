//! Values that may be null, lists, and mappings with names of the operator's choice.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::read::{Cursor, Read, Spanned};
use super::text::Name;
use super::yaml::{self, Node, Scalar, Value};

impl<T: Read> Read for Option<T> {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        if cursor.peek().is_some_and(Scalar::is_null) {
            return Some(None);
        }
        T::read(cursor).map(Some)
    }
}

impl<T: Read> Read for Vec<Spanned<T>> {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        Some(cursor.items()?.iter().map(Spanned::read).collect())
    }
}

/// One value, or a list of them.
#[derive(Debug, JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "the variants are for the schema: reading makes a list of either")]
enum OneOrList<T> {
    One(T),
    List(Vec<T>),
}

/// One value, or a list of them, as a list.
#[derive(Debug)]
pub(super) struct OneOrMany<T>(pub(super) Vec<Spanned<T>>);

impl<T: Read> Read for OneOrMany<T> {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        if cursor.is_list() {
            return Vec::read(cursor).map(Self);
        }
        Some(Self(vec![Spanned::read(cursor)]))
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        OneOrList::<T>::json_schema(generator)
    }
}

/// A mapping whose keys have a syntax of their own.
#[derive(Debug)]
pub(super) struct Keyed<K, T>(pub(super) Vec<(Spanned<K>, Spanned<T>)>);

impl<K: Read, T: Read> Read for Keyed<K, T> {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        entries(cursor, "write each as `NAME: VALUE`").map(Self)
    }
}

fn entries<K: Read, T: Read>(cursor: &Cursor<'_>, help: &str) -> Option<Vec<(Spanned<K>, Spanned<T>)>> {
    let entry = |(key, value): (&yaml::Key, Cursor<'_>)| {
        let text = Scalar { text: key.text.clone(), written: None, plain: false };
        let node = Node { span: key.span, value: Value::Scalar(text) };
        (Spanned::read(&value.at(&node)), Spanned::read(&value))
    };
    Some(cursor.entries(help)?.into_iter().map(entry).collect())
}

impl<K, T: JsonSchema> JsonSchema for Keyed<K, T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Keyed_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, T>::json_schema(generator)
    }
}

/// A mapping from names that the operator chooses.
#[derive(Debug)]
pub(super) struct Named<T>(pub(super) Vec<(Spanned<Name>, Spanned<T>)>);

impl<T: Read> Read for Named<T> {
    fn read(cursor: &Cursor<'_>) -> Option<Self> {
        entries(cursor, "write a name for each: `NAME: { … }`").map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Named_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, T>::json_schema(generator)
    }
}
