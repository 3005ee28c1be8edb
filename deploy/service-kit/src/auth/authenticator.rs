//! Verifies tokens.

use std::future::Future;

use actix_web::http::header::HeaderMap;

use super::{AuthConfig, Caller};
use crate::config::ConfigError;
use crate::health::Health;
use crate::http::HttpConfig;
use crate::metrics::Registry;

/// Verifies the tokens of callers.
#[derive(Debug, Clone)]
pub enum Authenticator {
    /// `AUTH=off`: nobody needs a token.
    Off,
}

/// Why a request is refused before its handler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// 400: there are two `Authorization` headers.
    TwoHeaders,
    /// 401: there is no valid token.
    Unauthenticated,
    /// 503: there are no keys yet.
    NoKeys,
}

impl Authenticator {
    /// The authenticator of a process, and the task that keeps its keys.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when `AUTH` is `off` and the API is reachable from other machines.
    pub fn start(
        _config: &AuthConfig,
        _http: &HttpConfig,
        _health: &Health,
        _registry: &Registry,
    ) -> Result<(Self, impl Future<Output = ()> + Send + 'static), ConfigError> {
        Ok((Self::Off, std::future::pending()))
    }

    /// The caller; `None` with `AUTH=off`.
    pub(super) fn authenticate(&self, _headers: &HeaderMap) -> Result<Option<Caller>, Refused> {
        match self {
            Self::Off => Ok(None),
        }
    }
}
