use super::super::{MAX_BYTES, Part};
use super::*;
use crate::auth::strict_json::JsonError;
use crate::auth::test_keys::base64;

fn valid_token() -> String {
    ED25519.sign(&header("EdDSA", &ED25519).to_string(), &valid_claims().to_string())
}

/// The token with another part.
fn with_part(part: Part, text: &str) -> String {
    let token = valid_token();
    let mut parts: Vec<_> = token.split('.').collect();
    let index = [Part::Header, Part::Claims, Part::Signature].iter().position(|one| *one == part).unwrap();
    parts[index] = text;
    parts.join(".")
}

#[test]
fn a_token_has_three_parts() {
    let token = valid_token();
    let (message, _) = token.rsplit_once('.').unwrap();
    for text in ["", "a", "a.b", message, &format!("{token}."), &format!("{token}.a.b"), &format!(".{token}")]
    {
        assert_eq!(verify(text), Err(TokenError::Parts), "{text}");
    }
}

#[test]
fn parts_are_canonical_base64url() {
    for (part, position) in [(Part::Header, 0), (Part::Claims, 1), (Part::Signature, 2)] {
        let token = valid_token();
        let text = token.split('.').nth(position).unwrap();
        for changed in [
            format!("{text}="),
            format!("{text}=="),
            format!(" {text}"),
            format!("{text}\n"),
            format!("+{text}/"),
        ] {
            assert_eq!(verify(&with_part(part, &changed)), Err(refusal(part)), "{changed}");
        }
    }
    // 64 bytes leave four bits of the last character unused: `A`, `Q`, `g` and `w` have zeros there.
    let token = valid_token();
    let (all, last) = token.split_at(token.len() - 1);
    for (canonical, other) in [("A", "B"), ("Q", "R"), ("g", "h"), ("w", "x")] {
        if last == canonical {
            assert_eq!(verify(&format!("{all}{other}")), Err(TokenError::Base64(Part::Signature)));
            return;
        }
    }
    panic!("a signature ends with {last}");
}

/// The claims are decoded after the signature, which no longer fits.
fn refusal(part: Part) -> TokenError {
    if part == Part::Claims { TokenError::Signature } else { TokenError::Base64(part) }
}

#[test]
fn header_and_claims_are_json_objects() {
    for (text, error) in [
        ("", JsonError::Syntax),
        ("{", JsonError::Syntax),
        ("{}{}", JsonError::Syntax),
        ("[]", JsonError::NotAnObject),
        ("null", JsonError::NotAnObject),
        (r#""a""#, JsonError::NotAnObject),
    ] {
        assert_eq!(
            verify(&with_part(Part::Header, &base64(text))),
            Err(TokenError::Json(Part::Header, error))
        );
        let token = ED25519.sign(&header("EdDSA", &ED25519).to_string(), text);
        assert_eq!(verify(&token), Err(TokenError::Json(Part::Claims, error)), "{text}");
    }
    let huge = valid_claims().to_string().replace(&(NOW + 60).to_string(), "1e999");
    let token = ED25519.sign(&header("EdDSA", &ED25519).to_string(), &huge);
    assert_eq!(verify(&token), Err(TokenError::Json(Part::Claims, JsonError::Syntax)));
}

#[test]
fn claims_that_are_signed_and_not_base64url_are_refused() {
    // The signature fits, so that only the claims are wrong.
    let token = ED25519.sign_parts(&base64(header("EdDSA", &ED25519).to_string()), "e30=", false);
    assert_eq!(verify(&token), Err(TokenError::Base64(Part::Claims)));
}

#[test]
fn a_token_has_at_most_8_kib() {
    assert_eq!(MAX_BYTES, 8_192);
    let token = |filler| {
        let claims = with(valid_claims(), "filler", "x".repeat(filler));
        ED25519.sign(&header("EdDSA", &ED25519).to_string(), &claims.to_string())
    };
    let short_by = MAX_BYTES - token(0).len();
    let mut seen = [0, 0];
    for filler in short_by * 3 / 4 - 5..short_by * 3 / 4 + 5 {
        let token = token(filler);
        let is_short = token.len() <= MAX_BYTES;
        assert_eq!(verify(&token).map(drop), if is_short { Ok(()) } else { Err(TokenError::TooLong) });
        seen[usize::from(is_short)] += 1;
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
    assert_eq!(verify(&token(9 * 1_024)), Err(TokenError::TooLong));
}
