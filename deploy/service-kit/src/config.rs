//! Configuration from environment variables, read once at the start and checked before anything else happens.

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde::de::DeserializeOwned;

/// Environment variables as name and value, so that tests can pass their own.
pub type Vars = Vec<(String, String)>;

/// A variable that is missing or has a value that the process cannot work with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A variable without a default is not set.
    #[error("{variable} is not set")]
    Missing {
        /// Name of the variable.
        variable: String,
    },
    /// A variable has a value of the wrong form; the message names the variable.
    #[error("{0}")]
    Malformed(String),
    /// A variable has a value of the right form that is out of bounds or makes no sense.
    #[error("{variable} {reason}")]
    Invalid {
        /// Name of the variable.
        variable: &'static str,
        /// What is wrong, without the value where that may be a secret.
        reason: String,
    },
}

/// The variables of this process. Variables that are not UTF-8 are left out: none of ours can be one of them.
#[must_use]
pub fn vars_of_process() -> Vars {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Reads `T`'s fields from the variables `<prefix><FIELD>`.
///
/// # Errors
///
/// [`ConfigError`], which names the variable, when one is missing or cannot be parsed.
pub fn read<T: DeserializeOwned>(prefix: &str, vars: &Vars) -> Result<T, ConfigError> {
    envy::prefixed(prefix).from_iter(vars.iter().cloned()).map_err(|error| match error {
        envy::Error::MissingValue(field) => ConfigError::Missing {
            variable: format!("{prefix}{}", field.trim_start_matches(prefix)).to_uppercase(),
        },
        // envy's message ends in the variable's name without the prefix that it took off.
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
    fn a_default_stands_where_nothing_is_set_and_other_variables_are_ignored() {
        let example = read_example(&[("EXAMPLE_URL", "x"), ("URL", "y"), ("EXAMPLE_OTHER", "z")]).unwrap();
        assert_eq!((example.url.as_str(), example.size), ("x", 0));
    }

    #[test]
    fn a_value_out_of_range_is_reported_with_name_range_and_value() {
        assert!(in_range("SIZE", &3, &(1..=3)).is_ok());
        let error = in_range("SIZE", &4, &(1..=3)).unwrap_err();
        assert_eq!(error.to_string(), "SIZE must be between 1 and 3, not 4");
    }
}
