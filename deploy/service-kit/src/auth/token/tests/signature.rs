use aws_lc_rs::hmac;

use super::*;
use crate::auth::test_keys::base64;

fn signers() -> [(&'static str, &'static TestKey); 5] {
    [("RS256", &RSA), ("PS256", &RSA), ("ES256", &P256), ("ES384", &P384), ("EdDSA", &ED25519)]
}

fn signed(algorithm: &str, key: &TestKey) -> String {
    key.sign(&header(algorithm, key).to_string(), &valid_claims().to_string())
}

#[test]
fn a_signature_that_is_stripped_cut_or_changed_is_refused() {
    for (algorithm, key) in signers() {
        let token = signed(algorithm, key);
        let (message, signature) = token.rsplit_once('.').unwrap();
        let bytes = decoded(signature);
        let mut flipped = bytes.clone();
        flipped[10] ^= 1;
        let zeros = vec![0; bytes.len()];
        let longer = [&bytes[..], &[0]].concat();
        for other in
            [&[][..], &bytes[..bytes.len() - 1], &bytes[..bytes.len() / 2], &flipped, &zeros, &longer]
        {
            let forged = format!("{message}.{}", base64(other));
            assert_eq!(verify(&forged), Err(TokenError::Signature), "{algorithm}, {} bytes", other.len());
        }
    }
}

#[test]
fn what_is_signed_cannot_be_changed() {
    for (algorithm, key) in signers() {
        let token = signed(algorithm, key);
        let parts: Vec<_> = token.split('.').collect();
        let claims = base64(with(valid_claims(), "customer_id", "customer-2").to_string());
        let header = base64(without(header(algorithm, key), "typ").to_string());
        for forged in [[parts[0], &claims, parts[2]], [&header, parts[1], parts[2]]] {
            assert_eq!(verify(&forged.join(".")), Err(TokenError::Signature), "{algorithm}");
        }
    }
}

#[test]
fn the_signature_of_another_key_is_refused() {
    let others =
        [TestKey::rsa("rsa"), TestKey::p256("p256"), TestKey::p384("p384"), TestKey::ed25519("ed25519")];
    for (algorithm, key) in signers() {
        let other = others.iter().find(|other| other.kid == key.kid).unwrap();
        assert_eq!(verify(&signed(algorithm, other)), Err(TokenError::Signature), "{algorithm}");
    }
}

#[test]
fn the_padding_is_that_of_the_header() {
    let token = signed("RS256", &RSA);
    let (_, signature) = token.rsplit_once('.').unwrap();
    let message = [header("PS256", &RSA), valid_claims()].map(|part| base64(part.to_string())).join(".");
    assert_eq!(verify(&format!("{message}.{signature}")), Err(TokenError::Signature));
}

#[test]
fn a_public_key_is_never_a_secret() {
    let jwk = RSA.jwk();
    let secrets =
        [jwk.to_string().into_bytes(), decoded(jwk["n"].as_str().unwrap()), b"secret".to_vec(), vec![]];
    let message = [header("HS256", &RSA), valid_claims()].map(|part| base64(part.to_string())).join(".");
    for secret in secrets {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message.as_bytes());
        let token = format!("{message}.{}", base64(tag));
        assert_eq!(verify(&token), Err(TokenError::Algorithm));
        // Even if it were configured, it would fit no key.
        let rules = Rules { algorithms: [Algorithm::HS256].into(), ..rules() };
        assert_eq!(verify_with(&token, &keys(), &rules), Err(TokenError::AlgorithmOfKey));
    }
}

#[test]
fn a_secret_in_the_key_set_is_never_used() {
    let oct = json!({"kty": "oct", "kid": "oct", "alg": "HS256", "k": base64("secret")});
    let set = json!({ "keys": [oct, ED25519.jwk()] }).to_string();
    let keys = KeySet::parse(set.as_bytes(), &[Algorithm::HS256, Algorithm::EdDSA]).unwrap().keys;
    let header = json!({"alg": "HS256", "kid": "oct"});
    let message = [header, valid_claims()].map(|part| base64(part.to_string())).join(".");
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"secret"), message.as_bytes());
    let token = format!("{message}.{}", base64(tag));
    assert_eq!(verify_with(&token, &keys, &rules()), Err(TokenError::Algorithm));
    let rules = Rules { algorithms: [Algorithm::HS256].into(), ..rules() };
    assert_eq!(verify_with(&token, &keys, &rules), Err(TokenError::UnknownKey));
}

#[test]
fn a_token_without_a_signature_is_refused() {
    for algorithm in ["none", "NONE", "EdDSA"] {
        let message =
            [header(algorithm, &ED25519), valid_claims()].map(|part| base64(part.to_string())).join(".");
        let expected = if algorithm == "EdDSA" { TokenError::Signature } else { TokenError::Algorithm };
        assert_eq!(verify(&format!("{message}.")), Err(expected), "{algorithm}");
        assert_eq!(verify(&message), Err(TokenError::Parts), "{algorithm}");
    }
}

fn decoded(text: &str) -> Vec<u8> {
    super::super::decode(super::super::Part::Signature, text).unwrap()
}
