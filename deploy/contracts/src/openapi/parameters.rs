//! The rules for parameters.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Sides;
use crate::comparison::{Comparison, Direction};
use crate::node::Node;
use crate::rule::Rule;

const OF_PARAMETER: &[&str] = &[
    "$ref",
    "name",
    "in",
    "description",
    "required",
    "deprecated",
    "schema",
    "style",
    "explode",
    "allowReserved",
    "example",
    "examples",
];

/// Where a parameter is sent, and its name there. Names of headers have no case.
type Key<'a> = (&'a str, String);

impl Comparison {
    pub(super) fn parameters(&mut self, items: &Sides<'_, '_>, operations: &Sides<'_, '_>) {
        let old = by_key(items.old, operations.old);
        let new = by_key(items.new, operations.new);
        for (key, old) in &old {
            match new.get(key) {
                Some(new) => self.parameter(old, new, key.0),
                None => self.add(Rule::ParameterRemoved, &old.pointer, name(old)),
            }
        }
        for (key, new) in &new {
            if is_required(new) && !old.get(key).is_some_and(is_required) {
                self.add(Rule::ParameterRequired, &new.pointer, name(new));
            }
        }
    }

    fn parameter(&mut self, old: &Node<'_>, new: &Node<'_>, place: &str) {
        self.unknown_members(old, new, OF_PARAMETER, name(old));
        if style(old, place) != style(new, place) {
            self.add(Rule::ParameterStyleChanged, &old.pointer, name(old));
        }
        self.schema(&old.child("schema"), &new.child("schema"), Direction::Input, name(old));
    }
}

/// The parameters of an operation. Those of its own replace those of its path.
fn by_key<'a>(item: &Node<'a>, operation: &Node<'a>) -> BTreeMap<Key<'a>, Node<'a>> {
    let all = item.child("parameters").elements().chain(operation.child("parameters").elements());
    let resolved = all.filter_map(|parameter| parameter.resolve());
    resolved
        .map(|parameter| {
            let place = parameter.child("in").value.as_str().unwrap_or_default();
            let name = name(&parameter);
            ((place, if place == "header" { name.to_ascii_lowercase() } else { name.to_owned() }), parameter)
        })
        .collect()
}

fn name<'a>(parameter: &Node<'a>) -> &'a str {
    parameter.child("name").value.as_str().unwrap_or_default()
}

fn is_required(parameter: &Node<'_>) -> bool {
    parameter.child("required").value == &Value::Bool(true)
}

/// How the value is written, with the defaults of OpenAPI.
fn style<'a>(parameter: &Node<'a>, place: &str) -> (&'a str, bool, bool) {
    let default = if matches!(place, "query" | "cookie") { "form" } else { "simple" };
    let style = parameter.child("style").value.as_str().unwrap_or(default);
    let explode = parameter.child("explode").value.as_bool().unwrap_or(style == "form");
    (style, explode, parameter.child("allowReserved").value == &Value::Bool(true))
}
