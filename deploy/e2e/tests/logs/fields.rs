//! Lines about an order or an event name it in the same fields.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};
use regex::Regex;

use super::{arguments, root, sources};

const FOLDERS: [&str; 5] =
    ["projector/src", "read-api/src", "write-api/src", "deploy/service-kit/src", "deploy/migrate/src"];

/// Names that say the same in another way.
const OTHER_NAMES: [&str; 9] =
    ["order_id", "order", "version", "order_version", "traceparent", "trace", "trace.id", "span.id", "id"];

/// All of these, or none.
const OF_AN_EVENT: [&str; 4] = ["order.id", "order.version", "trace_id", "span_id"];

/// Fields that only lines about events have.
const ABOUT_EVENTS: [&str; 3] = ["event.positions", "first.ids", "control"];

/// Lines about an order for which there is no event, and so no trace.
const WITHOUT_AN_EVENT: [&str; 2] =
    ["\"an acknowledged order is lost\"", "\"order left out: its row is not a valid order\""];

/// A text in the source.
fn literal() -> Result<Regex> {
    Ok(Regex::new(r#"(?s)"(?:[^"\\]|\\.)*""#)?)
}

/// The names of the fields of a line.
fn names(arguments: &str, literal: &Regex) -> BTreeSet<String> {
    let text = literal.replace_all(arguments, "\"\"").into_owned();
    let mut depth = 0_usize;
    let fields = text.split(|one| {
        match one {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' | '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        one == ',' && depth == 0
    });
    let name = |field: &str| {
        field.split('=').next().unwrap_or_default().trim().trim_start_matches(['%', '?']).to_owned()
    };
    fields.map(name).filter(|name| !name.is_empty() && name != "\"\"").collect()
}

/// What is wrong with a line.
fn fault(arguments: &str, literal: &Regex) -> Option<String> {
    let names = names(arguments, literal);
    if let Some(other) = OTHER_NAMES.iter().find(|other| names.contains(**other)) {
        return Some(format!("has {other:?}"));
    }
    let has = |fields: &[&str]| fields.iter().any(|field| names.contains(*field));
    if WITHOUT_AN_EVENT.iter().any(|message| arguments.contains(message))
        || !(has(&OF_AN_EVENT) || has(&ABOUT_EVENTS))
    {
        return None;
    }
    let missing: Vec<_> = OF_AN_EVENT.iter().filter(|field| !names.contains(**field)).collect();
    (!missing.is_empty()).then(|| format!("has no {missing:?}"))
}

#[test]
fn each_line_about_an_event_names_its_order_and_its_trace_in_the_same_fields() -> Result<()> {
    let call = Regex::new(r"\b(?:trace|debug|info|warn|error|event)!\(")?;
    let literal = literal()?;
    let (mut files, mut faults, mut about_events) = (Vec::new(), Vec::new(), 0);
    for folder in FOLDERS {
        sources(&root().join(folder), &[], &mut files)?;
    }
    for file in files {
        let source = fs::read_to_string(&file)?;
        let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for call in call.find_iter(source) {
            let arguments = arguments(source.get(call.end()..).unwrap_or_default())
                .context(file.display().to_string())?;
            about_events += usize::from(names(arguments, &literal).contains("order.id"));
            faults.extend(
                fault(arguments, &literal).map(|fault| format!("{}: {arguments} {fault}", file.display())),
            );
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(about_events >= 6, "{about_events} lines name an order");
    Ok(())
}

#[test]
fn a_line_with_other_or_missing_fields_is_found() -> Result<()> {
    let literal = literal()?;
    let all = r#"times, order.id = f(a, "b, c"), order.version = v, trace_id = t, span_id = s, "said""#;
    for right in [all, "times, \"id, version\"", r#"order.id = %id, "an acknowledged order is lost""#] {
        assert_eq!(fault(right, &literal), None, "{right}");
    }
    for wrong in [
        r#"%order_id, "said""#,
        r#"order.id = %id, version, "said""#,
        r#"order.id = %id, order.version = v, "said""#,
        r#"event.positions = ?positions, "said""#,
    ] {
        assert!(fault(wrong, &literal).is_some(), "{wrong}");
    }
    Ok(())
}
