//! Configuration from environment variables, read and checked once at start.

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde::de::DeserializeOwned;

/// Environment variables as name and value; tests pass their own.
pub type Vars = Vec<(String, String)>;

/// A variable is missing or has an invalid value.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A variable without a default is not set.
    #[error("{variable} is not set")]
    Missing {
        /// Name of the variable.
        variable: String,
    },
    /// A value cannot be parsed; the message names the variable.
    #[error("{0}")]
    Malformed(String),
    /// A value is out of range or not usable.
    #[error("{variable} {reason}")]
    Invalid {
        /// Name of the variable.
        variable: &'static str,
        /// What is wrong, without the value if that may be a secret.
        reason: String,
    },
}

impl ConfigError {
    /// A secret was given as an argument, which is not an option any more.
    #[must_use]
    pub fn as_argument(option: &str, variable: &str) -> Self {
        Self::Malformed(format!(
            "{option} is not accepted, because every user of the machine can read arguments: set {variable}, or \
             {variable}_FILE to the path of a file that only you can read"
        ))
    }
}

/// The variables of this process. Skips those that are not UTF-8, which no setting needs.
#[must_use]
pub fn vars_of_process() -> Vars {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Reads `T`'s fields from the variables `<prefix><FIELD>`, whose names are upper case.
///
/// # Errors
///
/// [`ConfigError`], which names the variable that is missing or cannot be parsed.
pub fn read<T: DeserializeOwned>(prefix: &str, vars: &Vars) -> Result<T, ConfigError> {
    // envy takes names in any case, and would take `auth` for `AUTH`.
    let exact = vars.iter().filter(|(name, _)| !name.chars().any(char::is_lowercase));
    envy::prefixed(prefix).from_iter(exact.cloned()).map_err(|error| match error {
        envy::Error::MissingValue(field) => ConfigError::Missing {
            variable: format!("{prefix}{}", field.trim_start_matches(prefix)).to_uppercase(),
        },
        // envy's message ends with the variable's name without its prefix.
        envy::Error::Custom(message) => {
            ConfigError::Malformed(message.replace("provided by ", &format!("provided by {prefix}")))
        }
    })
}

/// Checks that `value` lies in `range`.
///
/// # Errors
///
/// [`ConfigError::Invalid`] with the variable's name and the range.
pub fn in_range<T: PartialOrd + Display>(
    variable: &'static str,
    value: &T,
    range: &RangeInclusive<T>,
) -> Result<(), ConfigError> {
    if range.contains(value) {
        return Ok(());
    }
    let reason = format!("must be between {} and {}, not {value}", range.start(), range.end());
    Err(ConfigError::Invalid { variable, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Example {
        url: String,
        #[serde(default)]
        size: u16,
    }

    fn read_example(vars: &[(&str, &str)]) -> Result<Example, ConfigError> {
        let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        read("EXAMPLE_", &vars)
    }

    #[test]
    fn a_missing_variable_is_named_in_full() {
        assert_eq!(read_example(&[]).unwrap_err().to_string(), "EXAMPLE_URL is not set");
    }

    #[test]
    fn a_malformed_value_is_reported_with_the_full_name() {
        let error = read_example(&[("EXAMPLE_URL", "x"), ("EXAMPLE_SIZE", "many")]).unwrap_err();
        assert!(error.to_string().contains("'many' provided by EXAMPLE_SIZE"), "{error}");
    }

    #[test]
    fn a_default_applies_and_other_variables_are_ignored() {
        let example = read_example(&[("EXAMPLE_URL", "x"), ("URL", "y"), ("EXAMPLE_OTHER", "z")]).unwrap();
        assert_eq!((example.url.as_str(), example.size), ("x", 0));
    }

    #[test]
    fn a_name_in_lower_case_is_another_variable() {
        assert_eq!(read_example(&[("example_url", "x")]).unwrap_err().to_string(), "EXAMPLE_URL is not set");
        let example = read_example(&[("EXAMPLE_URL", "x"), ("Example_Size", "many")]).unwrap();
        assert_eq!((example.url.as_str(), example.size), ("x", 0));
    }

    #[test]
    fn a_value_out_of_range_is_reported_with_name_range_and_value() {
        assert!(in_range("SIZE", &3, &(1..=3)).is_ok());
        let error = in_range("SIZE", &4, &(1..=3)).unwrap_err();
        assert_eq!(error.to_string(), "SIZE must be between 1 and 3, not 4");
    }
}
