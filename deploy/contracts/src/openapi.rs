//! The rules for OpenAPI documents.

mod parameters;
mod responses;
mod security;
mod servers;

use serde_json::Value;

use crate::comparison::{Comparison, Direction};
use crate::node::Node;
use crate::rule::{Break, Rule};

const METHODS: &[&str] = &["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// Members of a document that the rules know, and those that only describe.
const OF_DOCUMENT: &[&str] =
    &["openapi", "info", "paths", "components", "security", "tags", "servers", "externalDocs"];
const OF_PATH: &[&str] = &[
    "get",
    "put",
    "post",
    "delete",
    "options",
    "head",
    "patch",
    "trace",
    "parameters",
    "summary",
    "description",
    "servers",
];
const OF_OPERATION: &[&str] = &[
    "parameters",
    "requestBody",
    "responses",
    "security",
    "tags",
    "summary",
    "description",
    "operationId",
    "deprecated",
    "externalDocs",
    "servers",
];
const OF_REQUEST_BODY: &[&str] = &["$ref", "description", "content", "required"];
const OF_MEDIA_TYPE: &[&str] = &["schema", "example", "examples"];

/// What in the present document breaks clients that know the baseline.
#[must_use]
pub fn breaks(baseline: &Value, present: &Value) -> Vec<Break> {
    let (old, new) = (Node::root(baseline), Node::root(present));
    let mut comparison = Comparison::default();
    comparison.unknown_members(&old, &new, OF_DOCUMENT, "document");
    comparison.servers(&[Sides { old: &old, new: &new }]);
    for (path, old_item) in old.child("paths").members() {
        let new_item = new.child("paths").child(path);
        if new_item.value.is_null() {
            comparison.add(Rule::PathRemoved, &old_item.pointer, path);
        } else {
            comparison.path(&Sides { old: &old, new: &new }, &Sides { old: &old_item, new: &new_item }, path);
        }
    }
    comparison.security_schemes(&old, &new);
    comparison.into_breaks()
}

/// The same thing in both documents.
#[derive(Debug, Clone, Copy)]
struct Sides<'a, 'b> {
    old: &'b Node<'a>,
    new: &'b Node<'a>,
}

impl Comparison {
    fn path(&mut self, documents: &Sides<'_, '_>, items: &Sides<'_, '_>, path: &str) {
        self.unknown_members(items.old, items.new, OF_PATH, path);
        self.servers(&[*items, *documents]);
        for method in METHODS {
            let name = format!("{} {path}", method.to_uppercase());
            match (items.old.get(method), items.new.get(method)) {
                (Some(old), None) => self.add(Rule::OperationRemoved, &old.pointer, &name),
                (Some(old), Some(new)) => {
                    self.unknown_members(&old, &new, OF_OPERATION, &name);
                    let operations = Sides { old: &old, new: &new };
                    self.servers(&[operations, *items, *documents]);
                    self.parameters(items, &operations);
                    self.request_body(&operations, &name);
                    self.responses(&operations, &name);
                    self.security(documents, &operations, &name);
                }
                (None, _) => {}
            }
        }
    }

    fn request_body(&mut self, operations: &Sides<'_, '_>, name: &str) {
        let (old, new) = (operations.old.child("requestBody"), operations.new.child("requestBody"));
        let (Some(old), Some(new)) = (old.resolve(), new.resolve()) else {
            return self.add(Rule::UnknownKeywordChanged, &old.pointer, name);
        };
        let is_required = |body: &Node<'_>| body.child("required").value == &Value::Bool(true);
        match (old.value.is_null(), new.value.is_null()) {
            (_, false) if is_required(&new) && !is_required(&old) => {
                self.add(Rule::RequestBodyRequired, &new.pointer, name);
            }
            (false, true) => self.add(Rule::RequestBodyRemoved, &old.pointer, name),
            _ => {}
        }
        if !old.value.is_null() && !new.value.is_null() {
            self.unknown_members(&old, &new, OF_REQUEST_BODY, name);
            self.content(&Sides { old: &old, new: &new }, Direction::Input, name);
        }
    }

    /// Compares `content`: schemas by media type. All media types of the baseline must be there.
    fn content(&mut self, sides: &Sides<'_, '_>, direction: Direction, name: &str) {
        for (media_type, old) in sides.old.child("content").members() {
            let Some(new) = sides.new.child("content").get(media_type) else {
                let rule = direction.choose(Rule::RequestMediaTypeRemoved, Rule::ResponseMediaTypeRemoved);
                self.add(rule, &old.pointer, media_type);
                continue;
            };
            self.unknown_members(&old, &new, OF_MEDIA_TYPE, media_type);
            self.schema(&old.child("schema"), &new.child("schema"), direction, name);
        }
    }
}
