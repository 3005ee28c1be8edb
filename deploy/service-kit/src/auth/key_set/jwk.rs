//! One key of a document.

use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use super::public_key::PublicKey;
use crate::auth::{algorithm, text};

/// A public key that verifies tokens.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    kid: Box<str>,
    algorithms: Vec<Algorithm>,
    public: PublicKey,
    /// The same for the library.
    decoding: DecodingKey,
}

/// Why a key must not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    /// It is no object.
    #[error("it is not a JSON object")]
    NotAnObject,
    /// Everybody who can read the document can sign with it.
    #[error("it has private members")]
    Private,
    /// `kid` is missing, or not a text of 1 to 255 characters.
    #[error("it has no valid `kid`")]
    NoKid,
    /// Which key signed is not clear.
    #[error("a different or private key has the same `kid`")]
    AmbiguousKid,
    /// Everybody who can read the document can sign with it, too.
    #[error("its private key is in the document")]
    Published,
    /// `use` or `key_ops` excludes verifying.
    #[error("it is not for verifying signatures")]
    NotForVerifying,
    /// `kty` is not `RSA`, `EC` or `OKP`.
    #[error("its type is not RSA, EC or OKP")]
    Type,
    /// `crv` is unknown.
    #[error("its curve is not P-256, P-384 or Ed25519")]
    Curve,
    /// `alg` does not fit the key, or no configured algorithm does.
    #[error("no configured algorithm fits it")]
    Algorithm,
    /// An RSA key that is too weak, or too large to verify with at a reasonable cost.
    #[error("its modulus does not have 2048 to 8192 bits")]
    ModulusSize,
    /// Another member is missing or not valid.
    #[error("its member `{0}` is missing or not valid")]
    Member(&'static str),
}

impl Key {
    /// Its name.
    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }

    /// Whether it verifies signatures of this algorithm.
    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Whether both are one key, whatever it is for.
    pub(crate) fn is_same_key(&self, other: &Self) -> bool {
        (&self.kid, &self.public) == (&other.kid, &other.public)
    }

    /// Whether this is its public key.
    pub(super) fn has(&self, public: &PublicKey) -> bool {
        self.public == *public
    }

    /// Verifies the algorithms of `same` too, which is the same key.
    pub(super) fn merge(&mut self, same: &Self) {
        // In the order of the type, so that equal sets compare as equal.
        let all = self.public.algorithms().iter().copied();
        self.algorithms = all.filter(|one| self.fits(*one) || same.fits(*one)).collect();
    }

    /// Whether `signature`, in base64url, is that of `message`.
    pub(in crate::auth) fn verifies(&self, algorithm: Algorithm, message: &str, signature: &str) -> bool {
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.decoding, algorithm)
            .unwrap_or_default()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        (&self.kid, &self.algorithms, &self.public) == (&other.kid, &other.algorithms, &other.public)
    }
}

impl Eq for Key {}

/// The `kid`, if it is valid.
pub(super) fn kid(jwk: &Value) -> Option<&str> {
    text::bounded(jwk.get("kid")?)
}

/// The public key of a private one, if it is complete.
pub(super) fn public_of_private(jwk: &Value) -> Option<PublicKey> {
    PublicKey::parse(jwk.as_object().filter(|members| is_private(members))?).ok()
}

fn is_private(members: &Map<String, Value>) -> bool {
    ["d", "p", "q", "dp", "dq", "qi", "oth", "priv"].iter().any(|name| members.contains_key(*name))
}

pub(super) fn parse(jwk: &Value, configured: &[Algorithm]) -> Result<Key, Unusable> {
    let members = jwk.as_object().ok_or(Unusable::NotAnObject)?;
    if is_private(members) {
        return Err(Unusable::Private);
    }
    let kid = kid(jwk).ok_or(Unusable::NoKid)?;
    if !is_for_verifying(members) {
        return Err(Unusable::NotForVerifying);
    }
    let public = PublicKey::parse(members)?;
    let algorithms = algorithms(members, &public, configured)?;
    let decoding = public.decoding_key();
    Ok(Key { kid: kid.into(), algorithms, public, decoding })
}

/// A member that is missing restricts nothing.
fn is_for_verifying(members: &Map<String, Value>) -> bool {
    let for_signatures = members.get("use").is_none_or(|value| value == "sig");
    let can_verify =
        |value: &Value| value.as_array().is_some_and(|all| all.iter().any(|one| one == "verify"));
    for_signatures && members.get("key_ops").is_none_or(can_verify)
}

fn algorithms(
    members: &Map<String, Value>,
    public: &PublicKey,
    configured: &[Algorithm],
) -> Result<Vec<Algorithm>, Unusable> {
    let only = match members.get("alg") {
        None => None,
        Some(alg) => Some(algorithm::parse(alg).ok_or(Unusable::Algorithm)?),
    };
    let fitting = public.algorithms().iter().copied();
    let usable = fitting.filter(|fitting| only.is_none_or(|only: Algorithm| only == *fitting));
    let usable: Vec<_> = usable.filter(|usable| configured.contains(usable)).collect();
    if usable.is_empty() { Err(Unusable::Algorithm) } else { Ok(usable) }
}
