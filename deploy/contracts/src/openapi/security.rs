//! The rules for security.

use serde_json::{Map, Value};

use super::Sides;
use crate::comparison::Comparison;
use crate::node::Node;
use crate::rule::Rule;

/// Members of a security scheme that only describe.
const DESCRIPTIVE: &[&str] = &["description", "bearerFormat"];

impl Comparison {
    /// Whatever let a client in must still do so.
    pub(super) fn security(&mut self, documents: &Sides<'_, '_>, operations: &Sides<'_, '_>, name: &str) {
        let old = ways_in(documents.old, operations.old);
        let new = ways_in(documents.new, operations.new);
        let lets_in = |credentials: &Map<String, Value>| new.iter().any(|way| is_enough(credentials, way));
        if !old.iter().all(lets_in) {
            let own = operations.new.get("security");
            let at = own.unwrap_or_else(|| documents.new.child("security"));
            self.add(Rule::SecurityAdded, &at.pointer, name);
        }
    }

    pub(super) fn security_schemes(&mut self, old: &Node<'_>, new: &Node<'_>) {
        for (name, scheme) in schemes(old).members() {
            let Some(present) = schemes(new).get(name) else {
                continue; // The operations that used it have changed.
            };
            if essence(&scheme) != essence(&present) {
                self.add(Rule::SecuritySchemeChanged, &scheme.pointer, name);
            }
        }
    }
}

fn schemes<'a>(document: &Node<'a>) -> Node<'a> {
    document.child("components").child("securitySchemes")
}

/// The alternatives of an operation: each names schemes that are needed together, with their scopes.
fn ways_in(document: &Node<'_>, operation: &Node<'_>) -> Vec<Map<String, Value>> {
    let security = operation.get("security").unwrap_or_else(|| document.child("security"));
    let ways: Vec<_> = security.elements().filter_map(|way| way.object().cloned()).collect();
    if ways.is_empty() { vec![Map::new()] } else { ways }
}

/// Whether these credentials satisfy all that a way in asks for.
fn is_enough(credentials: &Map<String, Value>, way: &Map<String, Value>) -> bool {
    way.iter().all(|(scheme, scopes)| {
        let held = credentials.get(scheme).and_then(Value::as_array);
        held.is_some_and(|held| scopes.as_array().into_iter().flatten().all(|scope| held.contains(scope)))
    })
}

fn essence(scheme: &Node<'_>) -> Option<Map<String, Value>> {
    let mut scheme = scheme.object()?.clone();
    scheme.retain(|member, _| !DESCRIPTIVE.contains(&member.as_str()));
    Some(scheme)
}
