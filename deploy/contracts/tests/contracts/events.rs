//! The schemas of the events describe what is written, and what older builds wrote.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use jsonschema::Validator;
use serde_json::{Value, json};
use shared_events::OrderChange;

use crate::baselines::workspace;

/// A validator for the payloads of one kind.
fn validator(kind: &str) -> Result<Validator> {
    let mut schema = shared_events::schema();
    let document = schema.as_object_mut().context("an object")?;
    document.insert("anyOf".to_owned(), json!([{"$ref": format!("#/$defs/{kind}")}]));
    Ok(jsonschema::options().should_validate_formats(true).build(&schema)?)
}

/// The payloads of a kind: of this build, and of builds from before the facts.
fn golden(kind: &str) -> Result<[Value; 2]> {
    let folder = workspace().join("shared-events/tests/golden");
    let read = |path: PathBuf| -> Result<Value> {
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(serde_json::from_str(&text)?)
    };
    let file = format!("{kind}.v1.json");
    Ok([read(folder.join("whole").join(&file))?, read(folder.join(&file))?])
}

#[test]
fn every_event_of_this_and_of_older_builds_has_the_schema_of_its_kind() -> Result<()> {
    for kind in OrderChange::ALL.map(OrderChange::kind) {
        let validator = validator(kind)?;
        for payload in golden(kind)? {
            let errors: Vec<_> = validator.iter_errors(&payload).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{kind}: {errors:?} in {payload}");
        }
    }
    Ok(())
}

/// So that the test above says something.
#[test]
fn an_event_without_a_promised_field_or_with_another_type_does_not_have_the_schema() -> Result<()> {
    for kind in OrderChange::ALL.map(OrderChange::kind) {
        let (validator, [_, oldest]) = (validator(kind)?, golden(kind)?);
        let fields = |pointer: &str| -> Vec<String> {
            let fields = oldest.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
            fields.map(|(name, _)| format!("{pointer}/{name}")).collect()
        };
        // Facts of a step may be absent.
        let promised =
            |pointer: &String| !["/reason", "/carrier", "/tracking_number"].contains(&pointer.as_str());
        for pointer in fields("").into_iter().chain(fields("/order")) {
            let mut payload = oldest.clone();
            *payload.pointer_mut(&pointer).context("a field")? = json!(true);
            assert!(!validator.is_valid(&payload), "{kind}: {pointer} of another type");
            crate::edit::remove(&mut payload, &pointer);
            assert_eq!(validator.is_valid(&payload), !promised(&pointer), "{kind}: without {pointer}");
        }
    }
    Ok(())
}

#[test]
fn a_newer_schema_version_an_unknown_status_and_null_do_not_have_the_schema() -> Result<()> {
    let (validator, [payload, _]) = (validator("order_paid")?, golden("order_paid")?);
    for (pointer, value) in [
        ("/schema_version", json!(2)),
        ("/order/status", json!("teleported")),
        ("/order/order_id", json!("no uuid")),
        ("/paid_at", json!("yesterday")),
        ("/carrier", json!(null)),
    ] {
        let mut payload = payload.clone();
        crate::edit::set(&mut payload, pointer, value);
        assert!(!validator.is_valid(&payload), "{pointer}");
    }
    Ok(())
}

/// A field that is written but not in the schema would be no promise, and could go unnoticed.
#[test]
fn the_schema_has_exactly_the_fields_that_are_written() -> Result<()> {
    let schema = shared_events::schema();
    let mut written = BTreeSet::new();
    for kind in OrderChange::ALL.map(OrderChange::kind) {
        let [payload, _] = golden(kind)?;
        written.extend(payload.as_object().context("an object")?.keys().cloned());
    }
    let fields = schema.pointer("/$defs/Event/properties").and_then(Value::as_object).context("no fields")?;
    assert_eq!(fields.keys().cloned().collect::<BTreeSet<_>>(), written);
    for (name, field) in fields {
        let is_described = field.get("description").is_some() || name == "schema_version";
        assert!(is_described, "{name} has no description");
    }
    Ok(())
}

#[test]
fn every_kind_has_a_schema_with_its_description() {
    let schema = shared_events::schema();
    for kind in OrderChange::ALL.map(OrderChange::kind) {
        let described = schema.pointer(&format!("/$defs/{kind}/description"));
        assert!(described.is_some_and(|text| text.as_str().is_some_and(|text| !text.is_empty())), "{kind}");
    }
    let first = schema.pointer("/$defs/order_placed/description");
    assert_eq!(first, Some(&json!("The order was accepted.")), "in the sequence of the kinds");
}
