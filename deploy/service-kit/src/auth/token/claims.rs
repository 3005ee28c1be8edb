//! The checks of the claims.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::{Claim, Rules, TokenError};
use crate::auth::{Caller, text};

/// 10000-01-01T00:00:00Z. RFC 3339 can write no later times.
const YEAR_10000: DateTime<Utc> = DateTime::from_timestamp(253_402_300_800, 0).unwrap();

type Claims = Map<String, Value>;

pub(super) fn check(claims: &Claims, rules: &Rules, now: DateTime<Utc>) -> Result<Caller, TokenError> {
    issuer(claims, rules)?;
    audience(claims, rules)?;
    let expires = times(claims, rules.leeway, now)?;
    let subject = required(claims, "sub", Claim::Subject)?;
    let customer =
        claims.get(&*rules.customer_claim).map(|value| name(value, Claim::Customer)).transpose()?;
    let scopes = claims.get(&*rules.scope_claim).map(scopes).transpose()?.unwrap_or_default();
    Ok(Caller { subject: name(subject, Claim::Subject)?, customer, scopes, expires })
}

fn issuer(claims: &Claims, rules: &Rules) -> Result<(), TokenError> {
    let issuer = required(claims, "iss", Claim::Issuer)?.as_str();
    let issuer = issuer.ok_or(TokenError::Malformed(Claim::Issuer))?;
    if *issuer == *rules.issuer { Ok(()) } else { Err(TokenError::Issuer) }
}

fn audience(claims: &Claims, rules: &Rules) -> Result<(), TokenError> {
    let audiences = texts(required(claims, "aud", Claim::Audience)?);
    let audiences = audiences.ok_or(TokenError::Malformed(Claim::Audience))?;
    if audiences.contains(&&*rules.audience) { Ok(()) } else { Err(TokenError::Audience) }
}

/// From when on the token is refused, if it is valid now.
fn times(claims: &Claims, leeway: TimeDelta, now: DateTime<Utc>) -> Result<DateTime<Utc>, TokenError> {
    let optional = |name, claim| claims.get(name).map(|value| time(value, claim)).transpose();
    let expires = time(required(claims, "exp", Claim::Expiry)?, Claim::Expiry)? + leeway;
    let not_before = optional("nbf", Claim::NotBefore)?;
    optional("iat", Claim::IssuedAt)?;
    if now >= expires {
        return Err(TokenError::Expired);
    }
    if not_before.is_some_and(|not_before| not_before > now + leeway) {
        return Err(TokenError::NotYetValid);
    }
    Ok(expires)
}

fn required<'a>(claims: &'a Claims, name: &str, claim: Claim) -> Result<&'a Value, TokenError> {
    claims.get(name).ok_or(TokenError::Missing(claim))
}

/// Seconds since 1970, whole or not.
fn time(value: &Value, claim: Claim) -> Result<DateTime<Utc>, TokenError> {
    let whole = value.as_u64().map(Duration::from_secs);
    let since_1970 = whole.or_else(|| Duration::try_from_secs_f64(value.as_f64()?).ok());
    let delta = since_1970.and_then(|duration| TimeDelta::from_std(duration).ok());
    let time = delta.and_then(|delta| DateTime::UNIX_EPOCH.checked_add_signed(delta));
    time.filter(|time| *time < YEAR_10000).ok_or(TokenError::Malformed(claim))
}

fn name(value: &Value, claim: Claim) -> Result<Arc<str>, TokenError> {
    text::bounded(value).map(Into::into).ok_or(TokenError::Malformed(claim))
}

/// A string with spaces (RFC 8693, 4.2), or an array of strings.
fn scopes(value: &Value) -> Result<Arc<str>, TokenError> {
    let texts = texts(value).ok_or(TokenError::Malformed(Claim::Scope))?;
    let scopes = texts.iter().flat_map(|text| text.split(' ')).filter(|scope| !scope.is_empty());
    Ok(scopes.collect::<Vec<_>>().join(" ").into())
}

/// A string, or an array of strings.
fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(values) => values.iter().map(Value::as_str).collect(),
        _ => None,
    }
}
