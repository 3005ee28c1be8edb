//! Verifies one token: a JWT (RFC 7519) in compact form, with the checks of RFC 8725 and RFC 9068.
//!
//! The library verifies the signature only. Its other checks are too weak for access tokens: it accepts any `typ`,
//! `crit`, a token without `aud`, an empty `sub`, and a key of any kind.

mod claims;
mod error;
mod header;
mod rules;
#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

pub(crate) use self::error::{Claim, Part, TokenError};
pub(crate) use self::rules::Rules;
use super::key_set::Key;
use super::{Caller, strict_json, text};

/// The most bytes of a token.
pub(crate) const MAX_BYTES: usize = 8 * 1024;

/// A token of which only the header is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unverified<'t> {
    kid: Box<str>,
    algorithm: Algorithm,
    /// What is signed: header and claims, in base64url.
    message: &'t str,
    claims: &'t str,
    signature: &'t str,
}

impl<'t> Unverified<'t> {
    /// Checks form and header.
    ///
    /// # Errors
    ///
    /// [`TokenError`], which names the check that failed.
    pub(crate) fn parse(token: &'t str, rules: &Rules) -> Result<Self, TokenError> {
        if token.len() > MAX_BYTES {
            return Err(TokenError::TooLong);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Parts)?;
        let (header, claims) = message.split_once('.').ok_or(TokenError::Parts)?;
        if claims.contains('.') {
            return Err(TokenError::Parts);
        }
        let header = header::check(&object(Part::Header, header)?, rules)?;
        decode(Part::Signature, signature)?;
        Ok(Self { kid: header.kid, algorithm: header.algorithm, message, claims, signature })
    }

    /// The name of the key that signed it.
    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }

    /// That of its signature.
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Checks the signature, and then the claims.
    ///
    /// # Errors
    ///
    /// [`TokenError`], which names the check that failed.
    pub(crate) fn verify(&self, key: &Key, rules: &Rules, now: DateTime<Utc>) -> Result<Caller, TokenError> {
        if !key.fits(self.algorithm) {
            return Err(TokenError::AlgorithmOfKey);
        }
        if !key.verifies(self.algorithm, self.message, self.signature) {
            return Err(TokenError::Signature);
        }
        claims::check(&object(Part::Claims, self.claims)?, rules, now)
    }
}

/// The `kid` of a refused token in a form for logs, if it can be read.
pub(crate) fn kid_for_log(token: &str) -> Option<String> {
    let (header, _) = token.get(..token.len().min(MAX_BYTES))?.split_once('.')?;
    let header = object(Part::Header, header).ok()?;
    Some(text::short(header.get("kid")?.as_str()?))
}

fn decode(part: Part, text: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Base64(part))
}

fn object(part: Part, text: &str) -> Result<Map<String, Value>, TokenError> {
    strict_json::object(&decode(part, text)?).map_err(|error| TokenError::Json(part, error))
}
