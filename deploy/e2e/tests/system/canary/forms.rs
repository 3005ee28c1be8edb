//! The forms in which a log could hold a canary.

use std::fmt::Write;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};

/// The forms of a text: itself, its bytes in decimal (as the driver logs a parameter) and in hexadecimal, and base64,
/// wherever in a longer text it begins.
pub(super) fn of_text(canary: &str) -> Vec<String> {
    let mut forms = vec![canary.to_owned(), decimal(canary.as_bytes())];
    let hex = hexadecimal(canary.as_bytes());
    forms.extend([hex.to_uppercase(), hex]);
    for before in 0..3 {
        let bytes = [vec![0; before], canary.as_bytes().to_vec()].concat();
        for engine in [BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD] {
            let text = engine.encode(&bytes);
            // Without the characters that also depend on the bytes before or after.
            let (first, last) = (before.div_ceil(2) + before, usize::from(bytes.len() % 3 != 0));
            forms.extend(text.get(first..text.len() - last).map(str::to_owned));
        }
    }
    forms.sort();
    forms.dedup();
    forms
}

/// The forms of a number: its digits, and its bytes as the driver logs a parameter.
pub(super) fn of_number(canary: i64) -> Vec<String> {
    vec![canary.to_string(), decimal(&canary.to_be_bytes())]
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ok = write!(hex, "{byte:02x}");
        hex
    })
}

fn decimal(bytes: &[u8]) -> String {
    bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")
}

#[test]
fn each_form_of_a_canary_is_found() {
    let canary = "canary-customer-5e1f";
    for before in ["", "a", "ab", "abc", "abcd"] {
        for after in ["", "x", "xy", "xyz"] {
            let text = format!("{before}{canary}{after}");
            let base64 = [BASE64_STANDARD_NO_PAD.encode(&text), BASE64_URL_SAFE_NO_PAD.encode(&text)];
            let hex = hexadecimal(text.as_bytes());
            let others = [decimal(text.as_bytes()), hex.to_uppercase(), hex, text];
            for logged in base64.into_iter().chain(others) {
                assert!(of_text(canary).iter().any(|form| logged.contains(form)), "{logged}");
            }
        }
    }
    assert!(of_text("az").contains(&"617a".to_owned()));
    assert_eq!(of_number(258), ["258", "0, 0, 0, 0, 0, 0, 1, 2"]);
}
