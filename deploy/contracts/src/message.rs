//! The rules for messages that are sent: webhooks.

use serde_json::Value;

use crate::comparison::{Comparison, Direction};
use crate::node::Node;
use crate::rule::Break;

/// What in the present schema breaks receivers that know the baseline. The schema has the headers and the body.
#[must_use]
pub fn breaks(baseline: &Value, present: &Value) -> Vec<Break> {
    let mut comparison = Comparison::default();
    comparison.schema(&Node::root(baseline), &Node::root(present), Direction::Output, "message");
    comparison.into_breaks()
}
