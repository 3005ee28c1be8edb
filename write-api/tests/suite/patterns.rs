//! The patterns in the OpenAPI document agree with the domain, so clients can validate with them.

use anyhow::{Context, Result};
use regress::Regex;
use serde_json::Value;
use uuid::Uuid;
use write_api::adapter::http;
use write_api::domain::{CancelReason, Carrier, CustomerId, OrderId, Sku, TextError, TrackingNumber};

/// The pattern of a field as a JavaScript regular expression, without flags and with the `u` flag.
fn patterns(document: &Value, schema: &str, field: &str) -> Result<[Regex; 2]> {
    let pattern = document.pointer(&format!("/components/schemas/{schema}/properties/{field}/pattern"));
    let pattern = pattern.and_then(Value::as_str).context(format!("{field} has no pattern"))?;
    Ok([Regex::new(pattern)?, Regex::with_flags(pattern, "u")?])
}

/// Every character that a rule may concern: alone, at either end, and inside.
fn texts() -> Vec<String> {
    let special = ('\0'..='\u{100}').chain('\u{167f}'..='\u{1681}').chain('\u{1fff}'..='\u{2070}');
    let special = special.chain('\u{2fff}'..='\u{3001}').chain([
        '\u{180e}',
        '\u{e000}',
        '\u{feff}',
        '．',
        '\u{1f600}',
        char::MAX,
    ]);
    let around = |character| {
        [
            format!("{character}"),
            format!("{character}{character}"),
            format!("{character}a"),
            format!("a{character}"),
            format!("a{character}b"),
            format!(" {character} "),
        ]
    };
    special.flat_map(around).chain([".", "..", "...", ".a", "a.", "a  b"].map(str::to_owned)).collect()
}

#[test]
fn a_text_matches_its_pattern_if_and_only_if_the_domain_accepts_it() -> Result<()> {
    type Rule = fn(String) -> Result<(), TextError>;
    let rules: [(&str, &str, Rule); 5] = [
        ("PlaceOrderRequest", "customer_id", |text| CustomerId::new(text).map(drop)),
        ("ItemRequest", "sku", |text| Sku::new(text).map(drop)),
        ("ShipRequest", "carrier", |text| Carrier::new(text).map(drop)),
        ("ShipRequest", "tracking_number", |text| TrackingNumber::new(text).map(drop)),
        ("CancelRequest", "reason", |text| CancelReason::new(text).map(drop)),
    ];
    let document = serde_json::to_value(http::document())?;
    for (schema, field, rule) in rules {
        for pattern in patterns(&document, schema, field)? {
            for text in texts() {
                let matches = pattern.find(&text).is_some();
                assert_eq!(matches, rule(text.clone()).is_ok(), "{field}: {text:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn an_order_id_matches_its_pattern_if_and_only_if_clients_may_choose_it() -> Result<()> {
    let document = serde_json::to_value(http::document())?;
    let mut ids = vec![Uuid::nil(), Uuid::max(), Uuid::from_u128(1), Uuid::from_u128(u128::MAX - 1)];
    for bits in [0, u128::MAX, 0x0193_a0c0_5f6e_0c1a_9d7e_2b6f_3a1c_4d5e] {
        ids.extend((0..16).map(|version| Uuid::from_u128(bits & !(0xf << 76) | version << 76)));
    }
    for pattern in patterns(&document, "PlaceOrderRequest", "order_id")? {
        for id in &ids {
            for text in [id.to_string(), id.to_string().to_uppercase()] {
                assert_eq!(pattern.find(&text).is_some(), OrderId::chosen(*id).is_ok(), "{text}");
            }
        }
        for text in ["", "x", "0193a0c0-5f6e-7c1a-9d7e-2b6f3a1c4d5", "0193a0c0-5f6e-7c1a-9d7e-2b6f3a1c4d5g"] {
            assert!(pattern.find(text).is_none(), "{text}");
        }
    }
    Ok(())
}
