//! Events.

use contracts::{Rule, events};
use serde_json::{Value, json};

use super::{Case, case, check, one_way};
use crate::edit::Edit::{Remove, Set};

fn document() -> Value {
    json!({
        "anyOf": [{"$ref": "#/$defs/made"}, {"$ref": "#/$defs/sold"}],
        "$defs": {
            "Event": {
                "type": "object",
                "required": ["version", "thing"],
                "properties": {
                    "version": {"type": "integer", "const": 1},
                    "thing": {"type": "string"},
                    "parts": {"type": "array", "items": {"type": "string"}},
                },
            },
            "made": {"$ref": "#/$defs/Event", "required": ["parts"]},
            "sold": {"$ref": "#/$defs/Event"},
        },
    })
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        one_way(Rule::EventKindRemoved, "/$defs/sold", "sold", Remove("/anyOf/1")),
        one_way(
            Rule::OutputFieldRemoved,
            "/$defs/Event/properties/parts",
            "parts",
            Remove("/$defs/Event/properties/parts"),
        ),
        // Only one kind has promised it.
        one_way(
            Rule::OutputFieldOptional,
            "/$defs/Event/properties/parts",
            "parts",
            Remove("/$defs/made/required"),
        ),
        case(
            Rule::OutputEnumWidened,
            "/$defs/Event/properties/version/const",
            "version",
            Set("/$defs/Event/properties/version/const", json!(2)),
            Set("/$defs/Event/properties/added", json!({"type": "string"})),
        ),
    ]
}

#[test]
fn an_event_must_have_all_that_readers_read() {
    check(&document(), events::breaks, &cases());
}
