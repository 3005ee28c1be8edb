//! Collects the faults of a request.

use std::fmt::Display;

use service_kit::problem::{FieldError, MAX_ERRORS};

/// The faults found so far, at most [`MAX_ERRORS`].
#[derive(Default)]
pub(in super::super) struct Faults(Vec<FieldError>);

impl Faults {
    /// Adds a fault, unless there are [`MAX_ERRORS`].
    pub(super) fn push(&mut self, fault: FieldError) {
        if self.0.len() < MAX_ERRORS {
            self.0.push(fault);
        }
    }

    /// The value, or `None` and a fault at this JSON pointer, which is formatted only then.
    pub(in super::super) fn check<T, E: Display>(
        &mut self,
        pointer: impl Display,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|error| self.push(FieldError::at(pointer.to_string(), error.to_string()))).ok()
    }

    /// The same for an optional value.
    pub(in super::super) fn check_optional<V, T, E: Display>(
        &mut self,
        pointer: &str,
        value: Option<V>,
        parse: impl FnOnce(V) -> Result<T, E>,
    ) -> Option<T> {
        value.and_then(|value| self.check(pointer, parse(value)))
    }

    /// Adds a fault at this JSON pointer.
    pub(super) fn add(&mut self, pointer: &str, detail: &str) {
        self.push(FieldError::at(pointer, detail));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_errors(self) -> Vec<FieldError> {
        self.0
    }

    /// The value if there are no faults, else the faults.
    pub(in super::super) fn into_result<T>(self, value: Option<T>) -> Result<T, Vec<FieldError>> {
        value.filter(|_| self.0.is_empty()).ok_or_else(|| self.into_errors())
    }
}
