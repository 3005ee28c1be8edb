//! Signatures by the [Standard Webhooks](https://www.standardwebhooks.com) specification: HMAC-SHA256 of
//! `id.timestamp.body`.
//!
//! The specification's own crate has had one release, brings a second implementation of SHA-256, and signs with one
//! secret only. So this file uses `hmac`, and tests let that crate verify the result.

use std::fmt;
use std::ops::RangeInclusive;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;

/// What a printed secret starts with.
const PREFIX: &str = "whsec_";
/// The specification asks for this many bytes.
const ALLOWED_BYTES: RangeInclusive<usize> = 24..=64;
/// Of a new secret.
const BYTES: usize = 32;

/// A secret of an endpoint. `Debug` does not show it.
#[derive(Clone)]
pub struct Secret(SecretSlice<u8>);

/// The system has no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("no random numbers for a secret")]
pub struct NoRandomness(#[source] getrandom::Error);

/// A text is no secret. The message does not repeat it.
#[derive(Debug, thiserror::Error)]
#[error("must be whsec_ and the Base64 of 24 to 64 bytes, on one line")]
pub struct NotASecret;

impl Secret {
    /// The secret that a receiver is configured with, as [`Self::text`] returns it.
    pub fn parse(text: &str) -> Result<Self, NotASecret> {
        let base64 = text.strip_prefix(PREFIX).ok_or(NotASecret)?;
        let bytes = BASE64_STANDARD.decode(base64).map_err(|_| NotASecret)?;
        if ALLOWED_BYTES.contains(&bytes.len()) { Ok(Self::from_bytes(bytes)) } else { Err(NotASecret) }
    }

    /// A new random secret.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = vec![0; BYTES];
        getrandom::fill(&mut bytes).map_err(NoRandomness)?;
        Ok(Self::from_bytes(bytes))
    }

    /// A stored secret.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(SecretSlice::from(bytes))
    }

    /// The bytes to store.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// The text that a receiver is configured with: `whsec_` and Base64.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{PREFIX}{}", BASE64_STANDARD.encode(self.bytes()))
    }

    fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        // A key of any length is accepted.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.bytes()) else { return String::new() };
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The value of `webhook-signature`: one signature for each secret, so that a receiver may use the new or the previous
/// one.
#[must_use]
pub fn sign(secrets: &[Secret], id: &str, timestamp: i64, body: &[u8]) -> String {
    let signatures: Vec<_> = secrets.iter().map(|secret| secret.sign(id, timestamp, body)).collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with `openssl dgst -sha256 -mac HMAC`.
    #[test]
    fn a_signature_is_the_one_of_another_implementation() {
        let secret = Secret::from_bytes(b"0123456789abcdef0123456789abcdef".to_vec());
        assert_eq!(secret.text(), "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");
        assert_eq!(
            sign(&[secret], "msg_1", 1_795_000_000, br#"{"type":"order_paid"}"#),
            "v1,QL1rl3kiasaGihtnFSWV9MdBihuvAQqCl6CRJ4YNLvY="
        );
    }

    #[test]
    fn a_text_of_24_to_64_bytes_is_a_secret_and_an_error_does_not_repeat_it() {
        for length in [24, 32, 64] {
            let secret = Secret::from_bytes(vec![7; length]);
            assert_eq!(Secret::parse(&secret.text()).unwrap().bytes(), secret.bytes());
        }
        let (short, long) = (Secret::from_bytes(vec![7; 23]), Secret::from_bytes(vec![7; 65]));
        let good = Secret::from_bytes(vec![7; 32]).text();
        let bare = good.strip_prefix(PREFIX).unwrap();
        let others = ["", PREFIX, bare, &format!(" {good}"), &format!("{good}\n"), &good.replace('=', "")];
        for text in others.into_iter().chain([short.text().as_str(), long.text().as_str()]) {
            let error = Secret::parse(text).unwrap_err().to_string();
            assert!(error.starts_with("must be whsec_ and the Base64 of 24 to 64 bytes"), "{text}: {error}");
        }
    }

    #[test]
    fn during_a_rotation_both_secrets_sign() {
        let secrets = [Secret::generate().unwrap(), Secret::generate().unwrap()];
        let both = sign(&secrets, "id", 7, b"body");
        let each: Vec<_> =
            secrets.iter().map(|secret| sign(std::slice::from_ref(secret), "id", 7, b"body")).collect();
        assert_eq!(both, each.join(" "));
        assert_ne!(each[0], each[1]);
    }

    #[test]
    fn a_secret_does_not_show_in_debug_output() {
        assert_eq!(format!("{:?}", Secret::generate().unwrap()), "Secret");
    }
}
