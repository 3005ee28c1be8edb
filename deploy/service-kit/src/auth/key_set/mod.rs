//! The keys of an issuer, from a JWKS document (RFC 7517).

mod jwk;
mod public_key;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jsonwebtoken::Algorithm;
use serde_json::Value;

pub(crate) use self::jwk::{Key, Unusable};
use self::public_key::PublicKey;
use super::strict_json::{self, JsonError};
use super::text;

/// The most keys of a document.
pub(crate) const MAX_KEYS: usize = 100;

/// Keys by `kid`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KeySet {
    keys: BTreeMap<Box<str>, Key>,
}

/// What a document gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// The keys that can verify tokens; there may be none.
    pub(crate) keys: KeySet,
    /// The other keys, for warnings.
    pub(crate) left_out: Vec<LeftOut>,
    /// The `kid`s that the document names, and only for keys that must not be used. Keys of an older document with
    /// these names must not be used any longer.
    pub(crate) withdrawn: BTreeSet<Box<str>>,
    /// The keys whose private part it has. They must not be used any longer either, whatever their `kid` was.
    pub(crate) published: Vec<PublicKey>,
}

/// A key that must not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// Its `kid` in a form for logs; `None` if it has no valid one.
    pub(crate) kid: Option<String>,
    /// Why.
    pub(crate) why: Unusable,
}

/// Why a document is no key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeySetError {
    /// It cannot be read.
    #[error("the key set {0}")]
    Json(JsonError),
    /// It has no array `keys`.
    #[error("the key set has no array `keys`")]
    NoKeys,
    /// It has more than [`MAX_KEYS`].
    #[error("the key set has {0} keys, more than {MAX_KEYS}")]
    TooMany(usize),
}

impl KeySet {
    /// Reads a document. A key is usable with those of `algorithms` that fit it.
    ///
    /// # Errors
    ///
    /// [`KeySetError`] if the document is no key set. A key that cannot be used is not an error.
    pub(crate) fn parse(document: &[u8], algorithms: &[Algorithm]) -> Result<Parsed, KeySetError> {
        let set = strict_json::object(document).map_err(KeySetError::Json)?;
        let Some(Value::Array(jwks)) = set.get("keys") else { return Err(KeySetError::NoKeys) };
        if jwks.len() > MAX_KEYS {
            return Err(KeySetError::TooMany(jwks.len()));
        }
        let entries: Vec<_> = jwks.iter().map(|jwk| (jwk::kid(jwk), jwk::parse(jwk, algorithms))).collect();
        let ambiguous = ambiguous(&entries);
        let published: Vec<_> = jwks.iter().filter_map(jwk::public_of_private).collect();
        let (mut keys, mut left_out) = (BTreeMap::new(), Vec::new());
        let mut named: BTreeSet<Box<str>> = BTreeSet::new();
        for (kid, parsed) in entries {
            let unique = parsed.and_then(|key| match key {
                key if ambiguous.contains(key.kid()) => Err(Unusable::AmbiguousKid),
                key if published.iter().any(|public| key.has(public)) => Err(Unusable::Published),
                key => Ok(key),
            });
            named.extend(kid.map(Into::into));
            match unique {
                Ok(key) => add(&mut keys, key),
                Err(why) => left_out.push(LeftOut { kid: kid.map(text::short), why }),
            }
        }
        named.retain(|kid| !keys.contains_key(kid));
        Ok(Parsed { keys: Self { keys }, left_out, withdrawn: named, published })
    }

    /// The key with this `kid`.
    pub(crate) fn find(&self, kid: &str) -> Option<&Key> {
        self.keys.get(kid)
    }

    /// Removes the keys with these `kid`s, and these keys.
    pub(crate) fn remove(&mut self, kids: &BTreeSet<Box<str>>, published: &[PublicKey]) {
        self.keys.retain(|kid, key| !kids.contains(kid) && !published.iter().any(|public| key.has(public)));
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// Some issuers list a key once for each of its algorithms.
fn add(keys: &mut BTreeMap<Box<str>, Key>, key: Key) {
    match keys.get_mut(key.kid()) {
        Some(known) => known.merge(&key),
        None => drop(keys.insert(key.kid().into(), key)),
    }
}

/// The `kid`s of different usable keys, and those of private keys: a usable key of that name may be the same one, no
/// longer secret.
fn ambiguous(entries: &[(Option<&str>, Result<Key, Unusable>)]) -> BTreeSet<Box<str>> {
    let mut seen: BTreeMap<&str, &Key> = BTreeMap::new();
    let mut ambiguous = BTreeSet::new();
    for (kid, parsed) in entries {
        let is_clear = match (*kid, parsed) {
            (Some(kid), Ok(key)) => seen.entry(kid).or_insert(key).is_same_key(key),
            (_, Err(Unusable::Private)) => false,
            _ => true,
        };
        ambiguous.extend(kid.filter(|_| !is_clear).map(Into::into));
    }
    ambiguous
}
