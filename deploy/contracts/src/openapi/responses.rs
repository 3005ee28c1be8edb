//! The rules for responses. A new status is compatible: clients handle one that they do not know by its class.

use serde_json::Value;

use super::Sides;
use crate::comparison::{Comparison, Direction};
use crate::node::Node;
use crate::rule::Rule;

const OF_RESPONSE: &[&str] = &["$ref", "description", "headers", "content", "links"];
const OF_HEADER: &[&str] =
    &["$ref", "description", "required", "deprecated", "schema", "example", "examples"];

impl Comparison {
    pub(super) fn responses(&mut self, operations: &Sides<'_, '_>, operation: &str) {
        for (status, old) in operations.old.child("responses").members() {
            let Some(new) = operations.new.child("responses").get(status) else {
                self.add(Rule::ResponseStatusRemoved, &old.pointer, status);
                continue;
            };
            let (Some(old), Some(new)) = (old.resolve(), new.resolve()) else {
                self.add(Rule::UnknownKeywordChanged, &old.pointer, status);
                continue;
            };
            self.unknown_members(&old, &new, OF_RESPONSE, status);
            let responses = Sides { old: &old, new: &new };
            self.content(&responses, Direction::Output, operation);
            self.headers(&responses);
        }
    }

    fn headers(&mut self, responses: &Sides<'_, '_>) {
        for (name, old) in responses.old.child("headers").members() {
            let new =
                responses.new.child("headers").members().find(|(other, _)| name.eq_ignore_ascii_case(other));
            let (Some(old), Some((_, new))) = (old.resolve(), new) else {
                self.add(Rule::ResponseHeaderRemoved, &old.pointer, name);
                continue;
            };
            let Some(new) = new.resolve() else {
                self.add(Rule::UnknownKeywordChanged, &old.pointer, name);
                continue;
            };
            self.unknown_members(&old, &new, OF_HEADER, name);
            let is_required = |header: &Node<'_>| header.child("required").value == &Value::Bool(true);
            if is_required(&old) && !is_required(&new) {
                self.add(Rule::ResponseHeaderOptional, &old.pointer, name);
            }
            self.schema(&old.child("schema"), &new.child("schema"), Direction::Output, name);
        }
    }
}
