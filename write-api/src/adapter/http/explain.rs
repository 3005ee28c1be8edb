//! Everything that is wrong with the form of a body. serde stops at the first fault; this is the second look, taken only
//! at bodies that are refused.

use std::fmt::Display;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::validation::Faults;

/// A request whose body can be explained.
pub(super) trait Explain {
    /// Collects all faults of `body`, of form and of value. It finds at least one in a body that could not be read.
    fn explain(body: &Value, faults: &mut Faults);
}

/// One object of a body.
pub(super) struct Object<'a> {
    fields: &'a Map<String, Value>,
    pointer: String,
}

impl<'a> Object<'a> {
    /// The object at `pointer`, or nothing and a fault. A field that is not among `known` is a fault too.
    pub(super) fn at(pointer: String, value: &'a Value, known: &[&str], faults: &mut Faults) -> Option<Self> {
        let Value::Object(fields) = value else {
            faults.add(&pointer, "must be an object");
            return None;
        };
        for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
            faults.add(&format!("{pointer}/{}", escaped(name)), "is not a field of this object");
        }
        Some(Self { fields, pointer })
    }

    /// Checks a field that must be there.
    pub(super) fn required<T, U, E: Display>(
        &self,
        name: &str,
        faults: &mut Faults,
        check: impl FnOnce(T) -> Result<U, E>,
    ) where
        T: DeserializeOwned,
    {
        match self.fields.get(name) {
            None => faults.add(&self.place(name), "is missing"),
            Some(Value::Null) => faults.add(&self.place(name), "must not be null"),
            Some(_) => self.optional(name, faults, check),
        }
    }

    /// Checks a field that may be left out.
    pub(super) fn optional<T, U, E: Display>(
        &self,
        name: &str,
        faults: &mut Faults,
        check: impl FnOnce(T) -> Result<U, E>,
    ) where
        T: DeserializeOwned,
    {
        let Some(value) = self.fields.get(name) else { return };
        match T::deserialize(value) {
            Ok(value) => drop(faults.check(&self.place(name), check(value))),
            Err(error) => faults.add(&self.place(name), &error.to_string()),
        }
    }

    /// The elements of a list that must be there, with their pointers; at most `limit` of them.
    pub(super) fn list(&self, name: &str, limit: usize, faults: &mut Faults) -> Vec<(String, &'a Value)> {
        let place = self.place(name);
        match self.fields.get(name) {
            None => faults.add(&place, "is missing"),
            Some(Value::Array(elements)) => {
                let elements = elements.iter().take(limit).enumerate();
                return elements.map(|(index, element)| (format!("{place}/{index}"), element)).collect();
            }
            Some(_) => faults.add(&place, "must be a list"),
        }
        Vec::new()
    }

    fn place(&self, name: &str) -> String {
        format!("{}/{name}", self.pointer)
    }
}

/// A name as a part of a JSON pointer (RFC 6901, 3).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
