//! Names of signature algorithms.

use jsonwebtoken::Algorithm;
use serde_json::Value;

/// The algorithm that an `alg` names. `Ed25519` (RFC 9864) is the exact name of what is here `EdDSA`: no other curve is
/// supported.
pub(super) fn parse(alg: &Value) -> Option<Algorithm> {
    match alg.as_str()? {
        "Ed25519" => Some(Algorithm::EdDSA),
        name => name.parse().ok(),
    }
}
