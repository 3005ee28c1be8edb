//! The places of a request that are wrong.

use serde::Serialize;

/// How much of a parameter's name `detail` repeats, in characters.
const MAX_NAME_CHARS: usize = 64;

/// The longest text in a problem that may repeat what the client has sent, in characters.
const MAX_CHARS: usize = 200;

/// One place of the request that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct FieldError {
    #[serde(flatten)]
    location: Location,
    /// What is wrong with it.
    detail: String,
}

/// Where in a request a field is.
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

    /// A fault at a JSON pointer such as `/items/0/quantity`. As everywhere in a problem, long texts are cut.
    pub fn at(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Location::Pointer, pointer, detail)
    }

    /// A fault in a parameter of the path or the query.
    pub fn parameter(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Location::Parameter, name, detail)
    }

    /// A fault in a header.
    pub fn header(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Location::Header, name, detail)
    }

    /// What is wrong.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// A client chooses the names of its unknown parameters, and how long they are.
    pub(super) fn short_name(&self) -> String {
        let (Location::Pointer(name) | Location::Parameter(name) | Location::Header(name)) = &self.location;
        name.chars().take(MAX_NAME_CHARS).collect()
    }
}

fn short(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_CHARS) {
        text.truncate(end);
        text.push_str(" …");
    }
    text
}
