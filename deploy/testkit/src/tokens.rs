//! An issuer of access tokens.

mod role;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use uuid::Uuid;

pub use self::role::Role;

/// The name of the key set's file.
pub const JWKS_FILE: &str = "jwks.json";

/// The issuer of the tokens.
pub const ISSUER: &str = "https://issuer.test";

/// The audience of the tokens.
pub const AUDIENCE: &str = "orders";

/// Signs tokens with a key (ES256) that only this value has. Services that are started with its
/// [`variables`](Self::variables) accept them.
#[derive(Debug)]
pub struct TokenIssuer {
    key: EncodingKey,
    key_id: String,
    jwks_file: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("no key can be made")]
    Generate(#[source] Unspecified),
    #[error("the key cannot be used")]
    Key(#[source] jsonwebtoken::errors::Error),
    #[error("a token cannot be signed")]
    Sign(#[source] jsonwebtoken::errors::Error),
    #[error("{} cannot be written", .path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl TokenIssuer {
    /// Makes a key and writes the key set with its public half to [`JWKS_FILE`] in `dir`, for this user only. The file
    /// of an earlier issuer is replaced.
    pub fn new(dir: &Path) -> Result<Self, TokenError> {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map_err(TokenError::Generate)?;
        let key = EncodingKey::from_ec_der(pkcs8.as_ref());
        let key_id = Uuid::new_v4().to_string();
        let mut public = Jwk::from_encoding_key(&key, Algorithm::ES256).map_err(TokenError::Key)?;
        public.common.key_id = Some(key_id.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        let jwks_file = dir.join(JWKS_FILE);
        write_private(dir, &jwks_file, &json!(JwkSet { keys: vec![public] }))
            .map_err(|source| TokenError::Write { path: jwks_file.clone(), source })?;
        Ok(Self { key, key_id, jwks_file })
    }

    /// With these variables, a service accepts the tokens of this issuer.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, String)> {
        let file = self.jwks_file.display().to_string();
        let variables = [
            ("AUTH", "jwt"),
            ("AUTH_JWKS_FILE", &file),
            ("AUTH_ISSUER", ISSUER),
            ("AUTH_AUDIENCE", AUDIENCE),
        ];
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    /// The same, and no caller or address is over its share.
    #[must_use]
    pub fn variables_without_shares(&self) -> Vec<(String, String)> {
        let names = ["PER_S", "BURST", "STREAMS", "WAITS"];
        let names =
            names.iter().flat_map(|name| ["", "SERVICE_"].map(|kind| format!("RATE_LIMIT_{kind}{name}")));
        self.variables().into_iter().chain(names.map(|name| (name, "1000000".to_owned()))).collect()
    }

    /// A token that is valid for an hour; with `customer`, a token of that customer.
    pub fn token(
        &self,
        subject: &str,
        scopes: &[&str],
        customer: Option<&str>,
    ) -> Result<String, TokenError> {
        self.token_until(subject, scopes, customer, in_an_hour())
    }

    /// The same with a time at which it expires.
    pub fn token_until(
        &self,
        subject: &str,
        scopes: &[&str],
        customer: Option<&str>,
        expires: DateTime<Utc>,
    ) -> Result<String, TokenError> {
        let mut claims = json!({
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "scope": scopes.join(" "),
            "iat": Utc::now().timestamp(),
            "exp": expires.timestamp(),
        });
        if let (Some(customer), Some(claims)) = (customer, claims.as_object_mut()) {
            claims.insert("customer_id".to_owned(), customer.into());
        }
        self.sign(&claims)
    }

    /// A token of this role that is valid for an hour.
    pub fn token_of(&self, role: Role<'_>) -> Result<String, TokenError> {
        self.token_of_until(role, in_an_hour())
    }

    /// The same with a time at which it expires.
    pub fn token_of_until(&self, role: Role<'_>, expires: DateTime<Utc>) -> Result<String, TokenError> {
        self.token_until(role.subject(), role.scopes(), role.customer(), expires)
    }

    /// A token with exactly these claims.
    pub fn sign(&self, claims: &Value) -> Result<String, TokenError> {
        let header = Header { kid: Some(self.key_id.clone()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &self.key).map_err(TokenError::Sign)
    }

    #[must_use]
    pub fn jwks_file(&self) -> &Path {
        &self.jwks_file
    }
}

fn in_an_hour() -> DateTime<Utc> {
    Utc::now() + TimeDelta::hours(1)
}

/// Replaces the file in one step: a reader never sees a part of it. A `NamedTempFile` has mode 0600.
fn write_private(dir: &Path, path: &Path, contents: &Value) -> io::Result<()> {
    let mut file = NamedTempFile::new_in(dir)?;
    write!(file, "{contents}")?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use jsonwebtoken::{DecodingKey, Validation};

    use super::*;

    /// The claims, after the signature was verified with the key set in the issuer's file.
    fn verified(issuer: &TokenIssuer, token: &str) -> jsonwebtoken::errors::Result<Value> {
        let keys: JwkSet = serde_json::from_slice(&std::fs::read(issuer.jwks_file()).unwrap()).unwrap();
        let key_id = jsonwebtoken::decode_header(token)?.kid.unwrap();
        let key = DecodingKey::from_jwk(keys.find(&key_id).unwrap())?;
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        Ok(jsonwebtoken::decode::<Value>(token, &key, &validation)?.claims)
    }

    #[test]
    fn a_token_has_the_claims_of_its_role_and_is_verified_by_the_key_set() {
        let dir = tempfile::tempdir().unwrap();
        let issuer = TokenIssuer::new(dir.path()).unwrap();
        let claims = verified(&issuer, &issuer.token_of(Role::Customer("alice")).unwrap()).unwrap();
        assert_eq!(
            (&claims["scope"], &claims["customer_id"]),
            (&json!("orders:read orders:cancel"), &json!("alice"))
        );
        let claims = verified(&issuer, &issuer.token_of(Role::Checkout).unwrap()).unwrap();
        assert_eq!((&claims["scope"], claims.get("customer_id")), (&json!("orders:place"), None));
        assert_eq!(claims["sub"], "checkout");
    }

    #[test]
    fn a_token_of_another_issuer_is_not_verified() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [ours, theirs] = dirs.each_ref().map(|dir| TokenIssuer::new(dir.path()).unwrap());
        let forged = TokenIssuer { key_id: ours.key_id.clone(), ..theirs };
        assert!(verified(&ours, &forged.token_of(Role::Support).unwrap()).is_err());
    }

    #[test]
    fn the_key_set_is_readable_by_its_user_only_and_has_no_private_key() {
        let dir = tempfile::tempdir().unwrap();
        let issuer = TokenIssuer::new(dir.path()).unwrap();
        assert_eq!(issuer.jwks_file().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let keys: Value = serde_json::from_slice(&std::fs::read(issuer.jwks_file()).unwrap()).unwrap();
        let mut members: Vec<_> = keys["keys"][0].as_object().unwrap().keys().cloned().collect();
        members.sort();
        assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    }
}
