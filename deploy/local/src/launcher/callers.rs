//! Who calls the services: one client for each role.

use std::path::Path;

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Client;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use testkit::tokens::{Role, TokenIssuer};

/// How long a token is valid: a working day.
const VALID_FOR: TimeDelta = TimeDelta::hours(12);

/// Whether callers need tokens, and where they get them.
pub(super) enum Callers {
    /// The services run with `AUTH=off`.
    Anyone,
    /// The services run with `AUTH=jwt`.
    WithTokens { issuer: TokenIssuer, expires: DateTime<Utc> },
}

impl Callers {
    /// Makes the key. `dir` gets the key set that the services read; the private key stays in this process.
    pub(super) fn with_tokens(dir: &Path) -> Result<Self> {
        Ok(Self::WithTokens { issuer: TokenIssuer::new(dir)?, expires: Utc::now() + VALID_FOR })
    }

    /// What the services need to know of them.
    pub(super) fn variables(&self) -> Vec<(String, String)> {
        match self {
            Self::Anyone => Vec::new(),
            Self::WithTokens { issuer, .. } => issuer.variables(),
        }
    }

    /// Until when the tokens are valid; `None` if nobody needs one.
    pub(super) fn expires(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Anyone => None,
            Self::WithTokens { expires, .. } => Some(*expires),
        }
    }

    /// `None` if nobody needs one.
    pub(super) fn token(&self, role: Role<'_>) -> Result<Option<String>> {
        match self {
            Self::Anyone => Ok(None),
            Self::WithTokens { issuer, expires } => Ok(Some(issuer.token_of_until(role, *expires)?)),
        }
    }

    /// A client whose requests have a token of the role.
    pub(super) fn client(&self, role: Role<'_>) -> Result<Client> {
        let mut headers = HeaderMap::new();
        if let Some(token) = self.token(role)? {
            let mut bearer = HeaderValue::try_from(format!("Bearer {token}"))?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        Ok(Client::builder().default_headers(headers).build()?)
    }
}
