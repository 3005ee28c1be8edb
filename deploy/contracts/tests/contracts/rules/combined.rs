//! Alternatives, `allOf`, and the same written in another way.

use contracts::{Rule, openapi};
use serde_json::{Value, json};

use super::{Case, case, check_api, fixture, one_way};
use crate::edit::Edit::{self, Remove, Set};

pub(super) fn cases() -> Vec<Case> {
    vec![
        // Input: one shape less.
        case(
            Rule::AlternativesChanged,
            "/components/schemas/NewThing/properties/shape/oneOf/1",
            "shape",
            Set(
                "/components/schemas/NewThing/properties/shape/oneOf",
                json!([
                    {"type": "object", "required": ["radius"], "properties": {"radius": {"type": "integer"}}},
                    {"type": "string"},
                    {"type": "boolean"},
                ]),
            ),
            Set("/components/schemas/NewThing/properties/shape/oneOf/-", json!({"type": "string"})),
        ),
        // Inside one of them: the break is named where it is.
        case(
            Rule::InputFieldRequired,
            "/components/schemas/NewThing/properties/shape/oneOf/0/properties/x",
            "x",
            Set(
                "/components/schemas/NewThing/properties/shape/oneOf/0",
                json!({"type": "object", "required": ["radius", "x"], "properties": {
                    "radius": {"type": "integer"}, "x": {"type": "integer"},
                }}),
            ),
            Set("/components/schemas/NewThing/properties/shape/oneOf/0/properties/x", json!({})),
        ),
        // Output: one alternative more.
        one_way(
            Rule::AlternativesChanged,
            "/components/schemas/Thing/properties/origin/oneOf/2",
            "origin",
            Set("/components/schemas/Thing/properties/origin/oneOf/-", json!({"type": "boolean"})),
        ),
        // A component that contains itself.
        one_way(
            Rule::TypeChanged,
            "/components/schemas/Thing/properties/ratio/type",
            "ratio",
            Set("/components/schemas/Thing/properties/ratio/type", json!(["number", "null"])),
        ),
        one_way(
            Rule::OutputFieldOptional,
            "/components/schemas/Thing/properties/owner/allOf/1/properties/email",
            "email",
            Remove("/components/schemas/Thing/properties/owner/allOf/1/required"),
        ),
        case(
            Rule::OutputFieldRemoved,
            "/components/schemas/Thing/properties/owner/allOf/0/properties/id",
            "id",
            Remove("/components/schemas/Thing/properties/owner/allOf/0"),
            Set(
                "/components/schemas/Thing/properties/owner",
                json!({"type": "object", "required": ["id", "email"], "properties": {
                    "id": {"type": "string"}, "email": {"type": "string", "maxLength": 99},
                }}),
            ),
        ),
        // Of two parts that say something about the same property, both count.
        case(
            Rule::OutputLimitLoosened,
            "/components/schemas/Thing/properties/owner/allOf/2/properties/email/maxLength",
            "email",
            Remove("/components/schemas/Thing/properties/owner/allOf/2"),
            Set(
                "/components/schemas/Thing/properties/owner/allOf/-",
                json!({"properties": {"email": {"minLength": 3}}}),
            ),
        ),
    ]
}

#[test]
fn alternatives_and_parts_are_compared() {
    check_api(&cases());
}

/// No change for anybody on the wire, in either direction.
#[test]
fn the_same_written_in_another_way_is_no_break() {
    let document = fixture::document();
    let component = document.pointer("/components/schemas/NewThing").expect("a component").clone();
    let edits: Vec<Edit> = vec![
        // Inline instead of by reference.
        Set("/paths/~1things/post/requestBody/content/application~1cbor/schema", component),
        Set(
            "/components/schemas/Thing/properties/parent",
            json!({"anyOf": [{"$ref": "#/components/schemas/Thing"}, {"type": "null"}]}),
        ),
        Set("/components/schemas/NewThing/properties/note/type", json!(["null", "string"])),
        Set(
            "/components/schemas/NewThing/properties/note",
            json!({
                "type": "string", "nullable": true, "default": "none",
            }),
        ),
        Set("/components/schemas/Thing/properties/state", json!({"type": "string", "enum": ["old", "new"]})),
        Set(
            "/components/schemas/Part/properties/count",
            json!({"type": "integer", "format": "int32", "enum": [1]}),
        ),
        Set("/components/schemas/Thing/required", json!(["state", "made_at", "name", "id", "count"])),
    ];
    for edit in edits {
        let changed = edit.apply(&document);
        assert_ne!(changed, document, "{edit:?}");
        assert_eq!(openapi::breaks(&document, &changed), [], "{edit:?}");
        assert_eq!(openapi::breaks(&changed, &document), [], "{edit:?} undone");
    }
}

/// A break in a component is reported once, however often the component is used.
#[test]
fn a_component_of_another_name_is_the_same_component() {
    let text = fixture::document().to_string();
    let renamed: Value =
        serde_json::from_str(&text.replace("schemas/Thing\"", "schemas/ThingView\"")).expect("JSON");
    let component = renamed.pointer("/components/schemas/Thing").expect("a component").clone();
    let renamed = Remove("/components/schemas/Thing").apply(&renamed);
    let renamed = Set("/components/schemas/ThingView", component).apply(&renamed);
    assert_eq!(openapi::breaks(&fixture::document(), &renamed), []);
}
