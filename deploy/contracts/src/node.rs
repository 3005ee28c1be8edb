//! A value in a document, with its place.

use serde_json::{Map, Value};

/// A value, the document that its references point into, and its place in that document.
#[derive(Debug, Clone)]
pub(crate) struct Node<'a> {
    document: &'a Value,
    pub(crate) value: &'a Value,
    /// JSON pointer of the value.
    pub(crate) pointer: String,
}

/// What an absent schema allows: anything.
static ABSENT: Value = Value::Null;

impl<'a> Node<'a> {
    pub(crate) fn root(document: &'a Value) -> Self {
        Self { document, value: document, pointer: String::new() }
    }

    /// The value at `key`, or `null`. `/` and `~` in the key are escaped in the pointer.
    pub(crate) fn child(&self, key: &str) -> Self {
        self.get(key).unwrap_or_else(|| self.with(key, &ABSENT))
    }

    pub(crate) fn get(&self, key: &str) -> Option<Self> {
        self.value.get(key).map(|value| self.with(key, value))
    }

    /// The members of an object by name.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&'a str, Self)> + use<'a> {
        let parent = self.clone();
        let members = self.value.as_object().into_iter().flatten();
        members.map(move |(name, value)| (name.as_str(), parent.with(name, value)))
    }

    /// The elements of an array.
    pub(crate) fn elements(&self) -> impl Iterator<Item = Self> + use<'a> {
        let parent = self.clone();
        let elements = self.value.as_array().into_iter().flatten();
        elements.enumerate().map(move |(index, value)| parent.with(&index.to_string(), value))
    }

    pub(crate) fn object(&self) -> Option<&'a Map<String, Value>> {
        self.value.as_object()
    }

    /// The target of `$ref`, and of references that it leads to; the value itself where it has none. A reference that
    /// leads nowhere, outside the document or in a circle gives nothing.
    pub(crate) fn resolve(&self) -> Option<Self> {
        let mut node = self.clone();
        for _ in 0..16 {
            let Some(reference) = node.value.get("$ref") else { return Some(node) };
            node = node.target(reference)?;
        }
        None
    }

    /// The value that a reference leads to, if it is in the document.
    pub(crate) fn target(&self, reference: &Value) -> Option<Self> {
        let pointer = reference.as_str()?.strip_prefix('#')?;
        let value = self.document.pointer(pointer)?;
        Some(Self { document: self.document, value, pointer: pointer.to_owned() })
    }

    fn with(&self, key: &str, value: &'a Value) -> Self {
        let key = key.replace('~', "~0").replace('/', "~1");
        Self { document: self.document, value, pointer: format!("{}/{key}", self.pointer) }
    }
}
