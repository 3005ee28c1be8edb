//! The numbers of a key.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use super::Unusable;

/// The first byte of an elliptic curve point with both coordinates (SEC 1, 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PublicKey {
    /// Modulus and exponent, without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// A point, not compressed.
    P256(Vec<u8>),
    /// A point, not compressed.
    P384(Vec<u8>),
    /// A point, compressed. The library cannot check that it is on the curve; if it is not, no signature is valid.
    Ed25519(Vec<u8>),
}

/// Points of small order, without the sign of `x`: with them everybody can sign. The last two are other names of the
/// first two, modulo 2^255 - 19.
const WEAK_POINTS: [&str; 7] = [
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_AU",
    "xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA3o",
    "7P_______________________________________38",
    "7f_______________________________________38",
    "7v_______________________________________38",
];

type Members = Map<String, Value>;

impl PublicKey {
    pub(super) fn parse(members: &Members) -> Result<Self, Unusable> {
        match text(members, "kty")? {
            "RSA" => rsa(members),
            "EC" => ec(members),
            "OKP" => ed25519(members),
            _ => Err(Unusable::Type),
        }
    }

    /// The algorithms whose signatures it can verify.
    pub(super) fn algorithms(&self) -> &'static [Algorithm] {
        match self {
            Self::Rsa { .. } => &[Algorithm::RS256, Algorithm::PS256],
            Self::P256(_) => &[Algorithm::ES256],
            Self::P384(_) => &[Algorithm::ES384],
            Self::Ed25519(_) => &[Algorithm::EdDSA],
        }
    }

    pub(super) fn decoding_key(&self) -> DecodingKey {
        match self {
            Self::Rsa { n, e } => DecodingKey::from_rsa_raw_components(n, e),
            Self::P256(point) | Self::P384(point) => DecodingKey::from_ec_der(point),
            Self::Ed25519(point) => DecodingKey::from_ed_der(point),
        }
    }
}

fn rsa(members: &Members) -> Result<PublicKey, Unusable> {
    let (n, e) = (number(members, "n")?, number(members, "e")?);
    let bits = n.first().map_or(0, |first| n.len() * 8 - usize::try_from(first.leading_zeros()).unwrap_or(0));
    if !(2048..=8192).contains(&bits) {
        return Err(Unusable::ModulusSize);
    }
    if !is_odd(&n) {
        return Err(Unusable::Member("n"));
    }
    // Verifying takes time in proportion to its length. With 1, every text is its own signature.
    if !is_odd(&e) || e == [1] || e.len() > 4 {
        return Err(Unusable::Member("e"));
    }
    let parts = RsaPublicKeyComponents { n: &n, e: &e };
    parts.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).map_err(|_| Unusable::Member("n"))?;
    Ok(PublicKey::Rsa { n, e })
}

fn ec(members: &Members) -> Result<PublicKey, Unusable> {
    let curve = text(members, "crv")?;
    let (bytes, algorithm): (_, &dyn VerificationAlgorithm) = match curve {
        "P-256" => (32, &ECDSA_P256_SHA256_FIXED),
        "P-384" => (48, &ECDSA_P384_SHA384_FIXED),
        _ => return Err(Unusable::Curve),
    };
    let point = [vec![UNCOMPRESSED], exactly(bytes, members, "x")?, exactly(bytes, members, "y")?].concat();
    ParsedPublicKey::new(algorithm, &point).map_err(|_| Unusable::Member("x"))?;
    Ok(if curve == "P-256" { PublicKey::P256(point) } else { PublicKey::P384(point) })
}

fn ed25519(members: &Members) -> Result<PublicKey, Unusable> {
    if text(members, "crv")? != "Ed25519" {
        return Err(Unusable::Curve);
    }
    let point = exactly(32, members, "x")?;
    if WEAK_POINTS.contains(&&*URL_SAFE_NO_PAD.encode(without_sign(&point))) {
        return Err(Unusable::Member("x"));
    }
    Ok(PublicKey::Ed25519(point))
}

/// The sign of `x` is the highest bit of the last byte (RFC 8032, 5.1.2).
fn without_sign(point: &[u8]) -> Vec<u8> {
    let mut point = point.to_vec();
    if let Some(last) = point.last_mut() {
        *last &= 0x7f;
    }
    point
}

fn text<'a>(members: &'a Members, name: &'static str) -> Result<&'a str, Unusable> {
    members.get(name).and_then(Value::as_str).ok_or(Unusable::Member(name))
}

fn bytes(members: &Members, name: &'static str) -> Result<Vec<u8>, Unusable> {
    URL_SAFE_NO_PAD.decode(text(members, name)?).map_err(|_| Unusable::Member(name))
}

fn exactly(length: usize, members: &Members, name: &'static str) -> Result<Vec<u8>, Unusable> {
    let bytes = bytes(members, name)?;
    if bytes.len() == length { Ok(bytes) } else { Err(Unusable::Member(name)) }
}

/// Some issuers write a leading zero, as in ASN.1; the cryptography library refuses it.
fn number(members: &Members, name: &'static str) -> Result<Vec<u8>, Unusable> {
    Ok(bytes(members, name)?.into_iter().skip_while(|byte| *byte == 0).collect())
}

fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|last| last % 2 == 1)
}
