//! The `AUTH*` variables.

use serde::Deserialize;

use crate::config::{self, ConfigError, Vars};

/// The `AUTH*` variables.
#[derive(Debug, Clone, Deserialize)]
pub struct AuthConfig {
    /// `AUTH`: `jwt`, or `off` for an API that only this machine can reach. Required.
    #[expect(dead_code, reason = "the keys come with the next commit")]
    auth: String,
}

impl AuthConfig {
    /// Reads and checks all variables.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable.
    pub fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        config::read("", vars)
    }
}
