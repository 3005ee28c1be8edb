//! Collects everything that is wrong with a request.

use std::fmt::Display;

use runtime::problem::FieldError;

/// The most faults that are reported: enough to mend a request by, and no way to have us write without end.
const MAX_FAULTS: usize = 100;

/// The faults found so far.
#[derive(Default)]
pub(super) struct Faults(Vec<FieldError>);

impl Faults {
    /// The value, or nothing and a fault at this JSON pointer.
    pub(super) fn check<T, E: Display>(&mut self, pointer: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.0.push(FieldError::at(pointer, error.to_string()))).ok()
    }

    /// The same for a value that may be left out.
    pub(super) fn check_optional<V, T, E: Display>(
        &mut self,
        pointer: &str,
        value: Option<V>,
        parse: impl FnOnce(V) -> Result<T, E>,
    ) -> Option<T> {
        value.and_then(|value| self.check(pointer, parse(value)))
    }

    /// The value where nothing was wrong, else all that was.
    pub(super) fn or_else<T>(self, value: Option<T>) -> Result<T, Vec<FieldError>> {
        let Self(mut faults) = self;
        faults.truncate(MAX_FAULTS);
        value.filter(|_| faults.is_empty()).ok_or(faults)
    }
}
