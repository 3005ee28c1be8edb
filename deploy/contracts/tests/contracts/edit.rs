//! Changes of a document, for tests.

use serde_json::Value;

/// One change of a document.
#[derive(Debug, Clone)]
pub(crate) enum Edit {
    /// Adds or replaces the value at the pointer.
    Set(&'static str, Value),
    /// Removes the value at the pointer.
    Remove(&'static str),
}

impl Edit {
    pub(crate) fn apply(&self, document: &Value) -> Value {
        let mut document = document.clone();
        match self {
            Self::Set(pointer, value) => set(&mut document, pointer, value.clone()),
            Self::Remove(pointer) => drop(remove(&mut document, pointer)),
        }
        document
    }
}

/// Removes the value at the pointer.
pub(crate) fn remove(document: &mut Value, pointer: &str) -> Value {
    let (parent, key) = split(pointer);
    let removed = match document.pointer_mut(parent) {
        Some(Value::Object(object)) => object.remove(&key),
        Some(Value::Array(array)) => key.parse().ok().map(|index| array.remove(index)),
        _ => None,
    };
    removed.expect("a value at the pointer")
}

/// Adds or replaces the value at the pointer. The index `-` is the one after the last.
pub(crate) fn set(document: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = split(pointer);
    match document.pointer_mut(parent).expect("a value at the parent's pointer") {
        Value::Array(array) if key == "-" => array.push(value),
        Value::Array(array) => {
            let index: usize = key.parse().expect("an index");
            *array.get_mut(index).expect("an element at the index") = value;
        }
        parent => drop(parent.as_object_mut().expect("an object").insert(key, value)),
    }
}

/// The parent's pointer, and the name of the member.
fn split(pointer: &str) -> (&str, String) {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer below the root");
    (parent, key.replace("~1", "/").replace("~0", "~"))
}
