//! The schema of webhooks describes what is sent, and the rules find what breaks receivers.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use chrono::Utc;
use contracts::{Break, Rule, message};
use projector::webhooks::message::{Content, Message, schema};
use projector::webhooks::signature::Secret;
use serde_json::{Map, Value, json};

use crate::edit::Edit::{self, Remove, Set};

/// What is sent, signed with this many secrets.
fn sent(secrets: usize) -> Result<Value> {
    let secrets: Vec<_> = (0..secrets).map(|_| Secret::generate()).collect::<Result<_, _>>()?;
    let content = Content { kind: "order_paid", occurred_at: Utc::now(), payload: r#"{"event_id": "e"}"# };
    let message = Message::new("e".to_owned(), content, &secrets, Utc::now())?;
    let headers: Map<_, _> =
        message.headers().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    Ok(json!({"headers": headers, "body": serde_json::from_slice::<Value>(&message.body)?}))
}

fn names(object: Option<&Value>) -> Result<BTreeSet<String>> {
    Ok(object.and_then(Value::as_object).context("no object")?.keys().cloned().collect())
}

#[test]
fn every_header_and_member_of_a_webhook_is_in_its_schema() -> Result<()> {
    let schema = schema();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema)?;
    for secrets in [1, 2] {
        let sent = sent(secrets)?;
        let errors: Vec<_> = validator.iter_errors(&sent).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {sent}");
        for part in ["headers", "body"] {
            let promised = schema.pointer(&format!("/properties/{part}/properties"));
            assert_eq!(names(promised)?, names(sent.get(part))?);
        }
    }
    Ok(())
}

#[test]
fn a_header_or_member_that_is_gone_or_different_is_a_break() {
    let cases: [(Rule, &str, Edit); 4] = [
        (Rule::OutputFieldRemoved, "webhook-id", Remove("/properties/headers/properties/webhook-id")),
        (
            Rule::OutputLimitLoosened,
            "webhook-signature",
            Set("/properties/headers/properties/webhook-signature/pattern", json!("^v2,")),
        ),
        (Rule::OutputFieldOptional, "data", Set("/properties/body/required", json!(["type", "timestamp"]))),
        (Rule::TypeChanged, "timestamp", Set("/properties/body/properties/timestamp/type", json!("integer"))),
    ];
    for (rule, name, edit) in cases {
        let breaks = message::breaks(&schema(), &edit.apply(&schema()));
        let found: Vec<_> = breaks.iter().map(|Break { rule, name, .. }| (*rule, name.as_str())).collect();
        assert_eq!(found, [(rule, name)], "{edit:?}");
    }
}
