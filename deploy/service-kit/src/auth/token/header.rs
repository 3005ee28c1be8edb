//! The checks of the header. It never gives keys: `jku`, `jwk`, `x5u` and `x5c` are not read.

use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::{Rules, TokenError};
use crate::auth::{algorithm, text};

pub(super) struct Header {
    pub(super) kid: Box<str>,
    pub(super) algorithm: Algorithm,
}

pub(super) fn check(header: &Map<String, Value>, rules: &Rules) -> Result<Header, TokenError> {
    if header.contains_key("crit") {
        return Err(TokenError::Critical);
    }
    if !header.get("typ").is_none_or(is_access_token) {
        return Err(TokenError::Type);
    }
    let algorithm = header.get("alg").and_then(algorithm::parse);
    let allowed = algorithm.filter(|found| rules.algorithms.contains(found));
    let algorithm = allowed.ok_or(TokenError::Algorithm)?;
    let kid = text::bounded(header.get("kid").ok_or(TokenError::NoKid)?).ok_or(TokenError::Kid)?;
    Ok(Header { kid: kid.into(), algorithm })
}

/// A media type, in which case does not matter and `application/` may be left out (RFC 7515, 4.1.9).
fn is_access_token(typ: &Value) -> bool {
    let Some(typ) = typ.as_str() else { return false };
    let typ = typ.to_ascii_lowercase();
    matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt")
}
