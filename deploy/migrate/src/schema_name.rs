//! Names of schemas.

use std::fmt;

/// Most characters of a name in PostgreSQL.
const NAME_MAX: usize = 63;

/// The name of a schema that exists, or one that needs no quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SchemaName(String);

/// The text is not the name of a schema that the migrator makes.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is not a name for a schema: lower-case letters, digits and _, beginning with a letter, but not with `pg_`; \
     no more than {NAME_MAX} characters; for migrations of your own not `public`"
)]
pub struct SchemaNameError(String);

impl SchemaName {
    /// For a cell.
    pub(crate) fn of_cell(name: &str) -> Result<Self, SchemaNameError> {
        if needs_no_quotes(name) { Ok(Self(name.to_owned())) } else { Err(SchemaNameError(name.to_owned())) }
    }

    /// For migrations of one's own. `public` is the first cell, which has a history of its own.
    pub(crate) fn of_addition(name: &str) -> Result<Self, SchemaNameError> {
        if name == "public" { Err(SchemaNameError(name.to_owned())) } else { Self::of_cell(name) }
    }

    /// One that the catalog has.
    pub(crate) fn existing(name: String) -> Self {
        Self(name)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name, in quotes, can stand wherever an unquoted one can, also in a string or a format.
    pub(crate) fn is_plain(&self) -> bool {
        needs_no_quotes(&self.0)
    }

    /// As an identifier. It may be a keyword.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.0.replace('"', "\"\""))
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn needs_no_quotes(name: &str) -> bool {
    let is_in_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(is_in_name)
        && name.len() <= NAME_MAX
        && !name.starts_with("pg_")
        && name != "information_schema"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_needs_no_quotes_and_is_not_the_servers() {
        let is_accepted = |name: &str| SchemaName::of_cell(name).is_ok();
        assert!(["public", "cell_01", "c", "order"].into_iter().all(is_accepted));
        let refused = ["", "pg_catalog", "information_schema", "Cell", "2", "_r", "a-b", "a\"; DROP", "é"];
        assert!(!refused.into_iter().any(is_accepted));
        assert!(is_accepted(&"a".repeat(63)) && !is_accepted(&"a".repeat(64)));
    }

    #[test]
    fn migrations_of_ones_own_are_not_beside_those_of_a_cell() {
        assert!(SchemaName::of_addition("revenue").is_ok());
        assert!(SchemaName::of_addition("public").is_err());
        assert!(SchemaName::of_addition("pg_catalog").is_err());
    }

    #[test]
    fn a_name_from_the_catalog_is_quoted() {
        assert_eq!(SchemaName::existing("Or\"ders".to_owned()).quoted(), r#""Or""ders""#);
    }
}
