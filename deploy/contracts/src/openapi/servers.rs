//! The rule for base URLs.

use serde_json::Value;

use super::Sides;
use crate::comparison::Comparison;
use crate::node::Node;
use crate::rule::Rule;

const KEYWORD: &str = "servers";
/// Without servers, paths are those of the address at which the document is.
const DEFAULT: &str = "/";

impl Comparison {
    /// Compares what has servers of its own with what contains it: an operation, its path and the document, in this
    /// order. The inner ones replace the outer ones.
    pub(super) fn servers(&mut self, sides: &[Sides<'_, '_>]) {
        let Some((inner, outer)) = sides.split_first() else { return };
        // Those of the outer ones have been compared already.
        if !outer.is_empty() && inner.old.get(KEYWORD).is_none() && inner.new.get(KEYWORD).is_none() {
            return;
        }
        let new = servers(sides.iter().map(|sides| sides.new));
        for old in servers(sides.iter().map(|sides| sides.old)) {
            if !new.iter().any(|new| new.url == old.url && new.variables == old.variables) {
                let place = format!("{}/{KEYWORD}", inner.new.pointer);
                self.add(Rule::ServerRemoved, &old.pointer.unwrap_or(place), old.url);
            }
        }
    }
}

struct Server<'a> {
    url: &'a str,
    variables: Option<&'a Value>,
    pointer: Option<String>,
}

/// The first that are listed.
fn servers<'a, 'b>(mut nodes: impl Iterator<Item = &'b Node<'a>>) -> Vec<Server<'a>>
where
    'a: 'b,
{
    let listed =
        nodes.find_map(|node| node.get(KEYWORD).filter(|servers| servers.elements().next().is_some()));
    let Some(listed) = listed else { return vec![Server { url: DEFAULT, variables: None, pointer: None }] };
    let server = |node: Node<'a>| Server {
        url: node.value.get("url").and_then(Value::as_str).unwrap_or(DEFAULT),
        variables: node.value.get("variables"),
        pointer: Some(node.pointer),
    };
    listed.elements().map(server).collect()
}
