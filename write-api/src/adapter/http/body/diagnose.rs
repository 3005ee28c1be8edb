//! Finds every fault of a refused body. serde stops at the first one.

use std::fmt::Display;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use service_kit::problem::FieldError;

use super::Faults;

/// A request whose body can be diagnosed.
pub(in super::super) trait Diagnose {
    /// Collects all faults of `body`: of structure and of value. It finds at least one in a body that serde refused,
    /// except for a duplicate field.
    fn diagnose(body: &Value, faults: &mut Faults);
}

/// Reads the fields of one object of a body.
pub(in super::super) struct ObjectReader<'a> {
    fields: &'a Map<String, Value>,
    pointer: String,
}

impl<'a> ObjectReader<'a> {
    /// The object at `pointer`, or `None` and a fault. A field outside `known` is a fault too, one for all of them.
    pub(in super::super) fn new(
        pointer: String,
        value: &'a Value,
        known: &[&str],
        faults: &mut Faults,
    ) -> Option<Self> {
        let Value::Object(fields) = value else {
            faults.add(&pointer, "must be an object");
            return None;
        };
        if fields.keys().any(|name| !known.contains(&name.as_str())) {
            faults.push(FieldError::unknown_field(&pointer, known));
        }
        Some(Self { fields, pointer })
    }

    /// Checks a required field.
    pub(in super::super) fn required<T, U, E: Display>(
        &self,
        name: &str,
        faults: &mut Faults,
        check: impl FnOnce(T) -> Result<U, E>,
    ) where
        T: DeserializeOwned,
    {
        match self.fields.get(name) {
            None => faults.add(&self.pointer_to(name), "is missing"),
            Some(Value::Null) => faults.add(&self.pointer_to(name), "must not be null"),
            Some(_) => self.optional(name, faults, check),
        }
    }

    /// Checks an optional field.
    pub(in super::super) fn optional<T, U, E: Display>(
        &self,
        name: &str,
        faults: &mut Faults,
        check: impl FnOnce(T) -> Result<U, E>,
    ) where
        T: DeserializeOwned,
    {
        let Some(value) = self.fields.get(name) else { return };
        match T::deserialize(value) {
            Ok(value) => drop(faults.check(self.pointer_to(name), check(value))),
            Err(error) => faults.add(&self.pointer_to(name), &without_value(&error.to_string())),
        }
    }

    /// The elements of a required list with their pointers, at most `limit`.
    pub(in super::super) fn list(
        &self,
        name: &str,
        limit: usize,
        faults: &mut Faults,
    ) -> Vec<(String, &'a Value)> {
        let pointer = self.pointer_to(name);
        match self.fields.get(name) {
            None => faults.add(&pointer, "is missing"),
            Some(Value::Array(elements)) => {
                let elements = elements.iter().take(limit).enumerate();
                return elements.map(|(index, element)| (format!("{pointer}/{index}"), element)).collect();
            }
            Some(_) => faults.add(&pointer, "must be a list"),
        }
        Vec::new()
    }

    fn pointer_to(&self, name: &str) -> String {
        format!("{}/{name}", self.pointer)
    }
}

/// serde shows the value that has the wrong type, in quotation marks or backquotes. It may be personal data, which a
/// problem never repeats.
fn without_value(error: &str) -> String {
    let Some((found, expected)) = error.rsplit_once(", expected ") else { return error.to_owned() };
    let (kind, _value) = found.split_once(['"', '`']).unwrap_or((found, ""));
    format!("{}, expected {expected}", kind.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_the_wrong_type_is_not_repeated() {
        fn error<T: DeserializeOwned>(value: &str) -> String {
            let value: Value = serde_json::from_str(value).unwrap();
            without_value(&T::deserialize(&value).err().unwrap().to_string())
        }
        for (value, kind) in [("4711", "integer"), ("47.5", "floating point"), ("true", "boolean")] {
            assert_eq!(error::<String>(value), format!("invalid type: {kind}, expected a string"));
        }
        for text in [r#""secret""#, r#""a, expected \"b`""#] {
            assert_eq!(error::<u8>(text), "invalid type: string, expected u8");
        }
        assert_eq!(error::<u8>("4711"), "invalid value: integer, expected u8");
        assert_eq!(error::<Vec<u8>>("{}"), "invalid type: map, expected a sequence");
    }
}
