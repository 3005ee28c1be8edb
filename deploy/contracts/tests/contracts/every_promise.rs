//! In the real documents, nothing that clients use is out of reach of the rules.

use anyhow::Result;
use serde_json::{Value, json};

use crate::baselines::contracts;
use crate::edit::{remove, set};

/// The members of these are promises, each by its name.
const NAMED: [&str; 6] = ["paths", "responses", "content", "headers", "properties", "parameters"];
const METHODS: [&str; 2] = ["get", "post"];

const PROBLEM: &str = "/application~1problem+json";

/// Pointers of all things that a client can use, and of all types.
fn promises(value: &Value, pointer: &str, removable: &mut Vec<String>, types: &mut Vec<String>) {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(elements) => {
            elements.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect()
        }
        _ => return,
    };
    let parent = pointer.rsplit('/').next().unwrap_or_default();
    let is_properties = parent == "properties";
    for (name, member) in &members {
        let place = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
        if NAMED.contains(&parent) || METHODS.contains(&name.as_str()) {
            removable.push(place.clone());
        }
        if name == "type" && !is_properties && member.is_string() && value.get("const").is_none() {
            types.push(place.clone());
        }
        promises(member, &place, removable, types);
    }
}

#[test]
fn no_path_response_field_or_parameter_can_go_unnoticed() -> Result<()> {
    for contract in contracts()? {
        let (mut removable, mut types) = (Vec::new(), Vec::new());
        promises(&contract.present, "", &mut removable, &mut types);
        // All problem documents have the same schema: those of one response stand for the others.
        let problem =
            removable.iter().find(|pointer| pointer.ends_with(PROBLEM)).cloned().unwrap_or_default();
        for pointers in [&mut removable, &mut types] {
            pointers.retain(|pointer| !pointer.contains(PROBLEM) || pointer.starts_with(&problem));
        }
        let fewest = if contract.name == "webhooks" { 8 } else { 20 };
        assert!(
            removable.len() > fewest && types.len() > fewest,
            "{}: {removable:?} {types:?}",
            contract.name
        );
        for pointer in removable {
            let mut changed = contract.present.clone();
            remove(&mut changed, &pointer);
            let breaks = (contract.breaks)(&contract.present, &changed);
            assert!(!breaks.is_empty(), "{}: {pointer} is gone", contract.name);
        }
        for pointer in types {
            let mut changed = contract.present.clone();
            let is_boolean = contract.present.pointer(&pointer) == Some(&json!("boolean"));
            set(&mut changed, &pointer, if is_boolean { json!("integer") } else { json!("boolean") });
            let breaks = (contract.breaks)(&contract.present, &changed);
            assert!(!breaks.is_empty(), "{}: {pointer} is another type", contract.name);
        }
    }
    Ok(())
}

#[test]
fn no_operation_can_need_other_scopes_or_another_scheme_unnoticed() -> Result<()> {
    let mut operations = 0;
    for contract in contracts()?.iter().filter(|contract| contract.present.get("openapi").is_some()) {
        let (mut removable, mut types) = (Vec::new(), Vec::new());
        promises(&contract.present, "", &mut removable, &mut types);
        let of_operations = removable.iter().map(|pointer| format!("{pointer}/security"));
        for pointer in of_operations.filter(|pointer| contract.present.pointer(pointer).is_some()) {
            operations += 1;
            let mut changed = contract.present.clone();
            set(&mut changed, &pointer, json!([{"token": ["another:scope"]}]));
            assert!(
                !(contract.breaks)(&contract.present, &changed).is_empty(),
                "{}: {pointer}",
                contract.name
            );
            set(&mut changed, &pointer, json!([{}]));
            assert_eq!((contract.breaks)(&contract.present, &changed), [], "{}: {pointer}", contract.name);
        }
        let mut changed = contract.present.clone();
        set(&mut changed, "/components/securitySchemes/token/scheme", json!("basic"));
        assert!(!(contract.breaks)(&contract.present, &changed).is_empty(), "{}", contract.name);
    }
    assert!(operations >= 12, "only {operations} operations have `security`");
    Ok(())
}
