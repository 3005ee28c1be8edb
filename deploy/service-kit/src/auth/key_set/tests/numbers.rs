use super::*;

#[test]
fn weak_and_absurd_rsa_keys_are_left_out() {
    let number =
        |bytes: usize, first: u8, last: u8| base64([vec![first], vec![0xa5; bytes - 2], vec![last]].concat());
    for (n, why) in [
        (number(128, 0xff, 1), Some(Unusable::ModulusSize)),
        (number(256, 0x7f, 1), Some(Unusable::ModulusSize)),
        (number(256, 0x80, 1), None),
        (number(257, 0x00, 1), None),
        (number(1_024, 0xff, 1), None),
        (number(1_025, 0x01, 1), Some(Unusable::ModulusSize)),
        (number(100_000, 0xff, 1), Some(Unusable::ModulusSize)),
        (number(256, 0xff, 2), Some(Unusable::Member("n"))),
        (String::new(), Some(Unusable::ModulusSize)),
        (base64([0; 300]), Some(Unusable::ModulusSize)),
        ("!".repeat(400), Some(Unusable::Member("n"))),
    ] {
        let start = &n[..n.len().min(20)];
        assert_eq!(refusal(&with(RSA.jwk(), "n", n.clone())), why, "{start}, {} characters", n.len());
    }
    let exponents = [(&[3][..], true), (&[1, 0, 1], true), (&[0, 1, 0, 1], true), (&[255; 4], true)];
    let refused =
        [(&[][..], false), (&[0], false), (&[1], false), (&[2], false), (&[0, 1], false), (&[255; 5], false)];
    for (e, is_usable) in exponents.into_iter().chain(refused).chain([(&[255; 500][..], false)]) {
        let expected = if is_usable { None } else { Some(Unusable::Member("e")) };
        assert_eq!(refusal(&with(RSA.jwk(), "e", base64(e))), expected, "{e:?}");
    }
    assert_eq!(refusal(&with(RSA.jwk(), "n", 65_537)), Some(Unusable::Member("n")));
}

#[test]
fn a_leading_zero_of_a_modulus_does_not_matter() {
    let jwk = RSA.jwk();
    let zero_and_n = format!("AAAA{}", jwk["n"].as_str().unwrap());
    let padded = parse(&[with(jwk.clone(), "n", zero_and_n)]);
    assert_eq!(padded, parse(&[jwk]));
    let token = RSA.sign("{}", "{}");
    let (message, signature) = token.rsplit_once('.').unwrap();
    assert!(padded.keys.find("a").unwrap().verifies(Algorithm::RS256, message, signature));
}

#[test]
fn what_is_no_point_of_its_curve_is_left_out() {
    let swapped = with(with(P256.jwk(), "x", P256.jwk()["y"].clone()), "y", P256.jwk()["x"].clone());
    for (jwk, why) in [
        (swapped, Unusable::Member("x")),
        (with(with(P256.jwk(), "x", base64([0; 32])), "y", base64([0; 32])), Unusable::Member("x")),
        (with(P256.jwk(), "x", base64([1; 33])), Unusable::Member("x")),
        (with(P256.jwk(), "y", base64([1; 31])), Unusable::Member("y")),
        (without(P256.jwk(), "y"), Unusable::Member("y")),
        (with(P256.jwk(), "x", 1e30), Unusable::Member("x")),
        (with(P256.jwk(), "crv", "P-384"), Unusable::Member("x")),
        (with(P256.jwk(), "crv", "P-521"), Unusable::Curve),
        (with(P256.jwk(), "crv", "secp256k1"), Unusable::Curve),
        (with(ED25519.jwk(), "crv", "Ed448"), Unusable::Curve),
        (with(ED25519.jwk(), "crv", "X25519"), Unusable::Curve),
        (with(ED25519.jwk(), "x", base64([1; 31])), Unusable::Member("x")),
        (with(ED25519.jwk(), "x", base64([1; 44])), Unusable::Member("x")),
        (with(ED25519.jwk(), "x", "not base64"), Unusable::Member("x")),
    ] {
        assert_eq!(refusal(&jwk), Some(why), "{jwk}");
    }
}

/// Whether the key verifies this signature of a message.
fn verifies(x: &[u8], signature: &[u8]) -> bool {
    let parsed = parse(&[with(ED25519.jwk(), "x", base64(x))]);
    let key = parsed.keys.find("a");
    key.is_some_and(|key| key.verifies(Algorithm::EdDSA, "message", &base64(signature)))
}

#[test]
fn an_ed25519_key_that_is_no_point_verifies_nothing() {
    // RFC 8032, 5.1.3: no point has `y` = 2.
    let no_point = [vec![2], vec![0; 31]].concat();
    for signature in [[0; 64], [1; 64]] {
        assert!(!verifies(&no_point, &signature));
    }
}

#[test]
fn an_ed25519_key_with_which_everybody_can_sign_is_left_out() {
    // With the neutral element as the key, this is a signature of every message.
    let neutral = [vec![1], vec![0; 31]].concat();
    assert!(!verifies(&neutral, &[neutral.clone(), vec![0; 32]].concat()));
    let minus_one = [vec![0xec], vec![0xff; 30]].concat();
    let [mut y_is_0, mut y_is_1, mut y_is_p] = [[0; 32], [0; 32], [0xff; 32]];
    (y_is_1[0], y_is_p[0]) = (1, 0xed);
    for sign in [0, 0x80] {
        (y_is_0[31], y_is_1[31], y_is_p[31]) = (sign, sign, 0x7f | sign);
        let y_is_minus_1 = [&minus_one[..], &[0x7f | sign]].concat();
        for point in [&y_is_0[..], &y_is_1, &y_is_p, &y_is_minus_1] {
            let jwk = with(ED25519.jwk(), "x", base64(point));
            assert_eq!(refusal(&jwk), Some(Unusable::Member("x")), "{point:?}");
        }
    }
}
