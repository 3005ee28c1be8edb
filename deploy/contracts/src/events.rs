//! The rules for the schemas of the events.

use serde_json::Value;

use crate::comparison::{Comparison, Direction};
use crate::node::Node;
use crate::rule::{Break, Rule};

/// What in the present schemas breaks readers that know the baseline. A new kind does not: readers must expect it.
#[must_use]
pub fn breaks(baseline: &Value, present: &Value) -> Vec<Break> {
    let (old, new) = (Node::root(baseline), Node::root(present));
    let mut comparison = Comparison::default();
    for (kind, schema) in kinds(&old) {
        match kinds(&new).find(|(name, _)| *name == kind) {
            Some((_, present)) => comparison.schema(&schema, &present, Direction::Output, kind),
            None => comparison.add(Rule::EventKindRemoved, &schema.pointer, kind),
        }
    }
    comparison.into_breaks()
}

/// The kinds with their schemas. The document allows any of `$defs/<kind>`.
fn kinds<'a>(document: &Node<'a>) -> impl Iterator<Item = (&'a str, Node<'a>)> + use<'a> {
    document.child("anyOf").elements().filter_map(|schema| {
        let reference = schema.value.get("$ref")?;
        let (_, kind) = reference.as_str()?.rsplit_once('/')?;
        Some((kind, schema.target(reference)?))
    })
}
