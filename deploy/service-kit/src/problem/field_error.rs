//! The invalid fields of a request.

use serde::Serialize;

/// The longest part of a parameter's name in `detail`, in characters.
const MAX_NAME_CHARS: usize = 64;

/// The longest text in a problem that may repeat the client's input, in characters.
const MAX_CHARS: usize = 200;

/// Stands for a name that is not known. A secret or personal data may have been written where a name belongs, and a
/// problem never repeats them.
const UNKNOWN: &str = "?";

/// An invalid field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct FieldError {
    #[serde(flatten)]
    location: Location,
    detail: String,
}

/// Where the field is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Location {
    /// JSON pointer (RFC 6901) into the body.
    Pointer(String),
    /// Name of a path or query parameter.
    Parameter(String),
    /// Name of a header.
    Header(String),
}

impl FieldError {
    fn new(location: fn(String) -> Location, name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { location: location(short(name.into())), detail: short(detail.into()) }
    }

    /// An error at a JSON pointer such as `/items/0/quantity`. Long texts are cut.
    pub fn at(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Location::Pointer, pointer, detail)
    }

    /// An error in a path or query parameter.
    pub fn parameter(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Location::Parameter, name, detail)
    }

    /// An error in a header.
    pub fn header(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Location::Header, name, detail)
    }

    /// An unknown parameter of a resource that has the parameters `known`. Its name is shown as `?`.
    #[must_use]
    pub fn unknown_parameter(known: &[&str]) -> Self {
        let detail = format!("is not a parameter of this resource, which has {}", list(known));
        Self::parameter(UNKNOWN, detail)
    }

    /// An unknown field of the object at `pointer`, which has the fields `known`. Its name is shown as `?`.
    #[must_use]
    pub fn unknown_field(pointer: &str, known: &[&str]) -> Self {
        Self::at(
            format!("{pointer}/{UNKNOWN}"),
            format!("is not a field of this object, which has {}", list(known)),
        )
    }

    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// Shortened, so that the text is short for any name.
    pub(super) fn short_name(&self) -> String {
        let (Location::Pointer(name) | Location::Parameter(name) | Location::Header(name)) = &self.location;
        name.chars().take(MAX_NAME_CHARS).collect()
    }
}

fn list(known: &[&str]) -> String {
    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
}

fn short(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_CHARS) {
        text.truncate(end);
        text.push_str(" …");
    }
    text
}
