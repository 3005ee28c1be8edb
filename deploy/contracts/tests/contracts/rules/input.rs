//! Schemas of what clients send.

use contracts::Rule;
use serde_json::json;

use super::{Case, case, check_api, one_way};
use crate::edit::Edit::{Remove, Set};

pub(super) fn cases() -> Vec<Case> {
    [fields(), types(), values(), limits()].into_iter().flatten().collect()
}

fn fields() -> Vec<Case> {
    vec![
        one_way(
            Rule::InputFieldRemoved,
            "/components/schemas/NewThing/properties/note",
            "note",
            Remove("/components/schemas/NewThing/properties/note"),
        ),
        one_way(
            Rule::InputFieldRequired,
            "/components/schemas/NewThing/properties/colour",
            "colour",
            Set("/components/schemas/NewThing/required/-", json!("colour")),
        ),
        case(
            Rule::InputFieldRequired,
            "/components/schemas/NewThing/allOf/0/properties/added",
            "added",
            Set(
                "/components/schemas/NewThing/allOf",
                json!([{"required": ["added"], "properties": {"added": {}}}]),
            ),
            Set("/components/schemas/NewThing/allOf", json!([{"properties": {"added": {}}}])),
        ),
        one_way(
            Rule::InputObjectClosed,
            "/components/schemas/NewThing/additionalProperties",
            "POST /things",
            Set("/components/schemas/NewThing/additionalProperties", json!(false)),
        ),
        case(
            Rule::InputDefaultChanged,
            "/components/schemas/NewThing/properties/note/default",
            "note",
            Set("/components/schemas/NewThing/properties/note/default", json!("nothing")),
            Set("/components/schemas/NewThing/properties/name/default", json!("thing")),
        ),
        case(
            Rule::UnknownKeywordChanged,
            "/components/schemas/NewThing/dependentRequired",
            "POST /things",
            Set("/components/schemas/NewThing/dependentRequired", json!({"note": ["colour"]})),
            Set("/components/schemas/NewThing/description", json!("A thing to make.")),
        ),
        case(
            Rule::UnknownKeywordChanged,
            "/components/schemas/NewThing/properties/note",
            "note",
            Set("/components/schemas/NewThing/properties/note", json!({"$ref": "#/nowhere"})),
            Set("/components/schemas/NewThing/properties/note/x-internal", json!(true)),
        ),
    ]
}

fn types() -> Vec<Case> {
    vec![
        one_way(
            Rule::TypeChanged,
            "/components/schemas/NewThing/properties/note/type",
            "note",
            Set("/components/schemas/NewThing/properties/note/type", json!("string")),
        ),
        case(
            Rule::TypeChanged,
            "/components/schemas/NewThing/properties/name/type",
            "name",
            Set("/components/schemas/NewThing/properties/name/type", json!("integer")),
            Set("/components/schemas/NewThing/properties/name/type", json!(["integer", "string"])),
        ),
        one_way(
            Rule::TypeChanged,
            "/components/schemas/NewThing/properties/weight/type",
            "weight",
            Set("/components/schemas/NewThing/properties/weight/type", json!("integer")),
        ),
        // `null` is no longer accepted as a body: clients could send it.
        one_way(
            Rule::TypeChanged,
            "/paths/~1things/post/requestBody/content/application~1json/schema",
            "POST /things",
            Set(
                "/paths/~1things/post/requestBody/content/application~1json/schema",
                json!({"$ref": "#/components/schemas/NewThing"}),
            ),
        ),
        one_way(
            Rule::FormatChanged,
            "/components/schemas/NewThing/properties/name/format",
            "name",
            Set("/components/schemas/NewThing/properties/name/format", json!("email")),
        ),
        one_way(
            Rule::FormatChanged,
            "/paths/~1things/get/parameters/0/schema/format",
            "limit",
            Set("/paths/~1things/get/parameters/0/schema/format", json!("int32")),
        ),
        case(
            Rule::TypeChanged,
            "/components/schemas/NewThing/properties/labels/additionalProperties/type",
            "labels",
            Set("/components/schemas/NewThing/properties/labels/additionalProperties/type", json!("integer")),
            Set(
                "/components/schemas/NewThing/properties/labels/additionalProperties/type",
                json!(["string", "null"]),
            ),
        ),
    ]
}

fn values() -> Vec<Case> {
    vec![
        one_way(
            Rule::InputEnumNarrowed,
            "/components/schemas/NewThing/properties/colour/enum",
            "colour",
            Remove("/components/schemas/NewThing/properties/colour/enum/0"),
        ),
        one_way(
            Rule::InputEnumNarrowed,
            "/components/schemas/NewThing/properties/name/enum",
            "name",
            Set("/components/schemas/NewThing/properties/name/enum", json!(["a"])),
        ),
        one_way(
            Rule::InputEnumNarrowed,
            "/paths/~1things/get/parameters/1/schema/items/enum",
            "colour",
            Remove("/paths/~1things/get/parameters/1/schema/items/enum/1"),
        ),
        // The mark of open enumerations is for output.
        one_way(
            Rule::InputEnumNarrowed,
            "/components/schemas/NewThing/properties/colour/enum",
            "colour",
            Set(
                "/components/schemas/NewThing/properties/colour",
                json!({
                    "type": ["string", "null"], "enum": ["red", null], "x-open-enum": true,
                }),
            ),
        ),
    ]
}

fn limits() -> Vec<Case> {
    let new = |pointer, name, breaking| one_way(Rule::InputLimitTightened, pointer, name, breaking);
    vec![
        new(
            "/components/schemas/NewThing/properties/name/maxLength",
            "name",
            Set("/components/schemas/NewThing/properties/name/maxLength", json!(63)),
        ),
        new(
            "/components/schemas/NewThing/properties/name/minLength",
            "name",
            Set("/components/schemas/NewThing/properties/name/minLength", json!(2)),
        ),
        new(
            "/paths/~1things/get/parameters/0/schema/minimum",
            "limit",
            Set("/paths/~1things/get/parameters/0/schema/minimum", json!(2)),
        ),
        // Not seen by `f64`.
        new(
            "/components/schemas/NewThing/properties/weight/maximum",
            "weight",
            Set("/components/schemas/NewThing/properties/weight/maximum", json!(9_007_199_254_740_990_i64)),
        ),
        new(
            "/components/schemas/NewThing/properties/weight/exclusiveMinimum",
            "weight",
            Set("/components/schemas/NewThing/properties/weight/exclusiveMinimum", json!(0.5)),
        ),
        new(
            "/components/schemas/NewThing/properties/parts/maxItems",
            "parts",
            Set("/components/schemas/NewThing/properties/parts/maxItems", json!(500)),
        ),
        new(
            "/components/schemas/NewThing/properties/parts/minItems",
            "parts",
            Set("/components/schemas/NewThing/properties/parts/minItems", json!(2)),
        ),
        new(
            "/components/schemas/NewThing/properties/parts/uniqueItems",
            "parts",
            Set("/components/schemas/NewThing/properties/parts/uniqueItems", json!(true)),
        ),
        new(
            "/components/schemas/NewThing/properties/note/pattern",
            "note",
            Set("/components/schemas/NewThing/properties/note/pattern", json!("^[^\n]*$")),
        ),
        case(
            Rule::InputLimitTightened,
            "/components/schemas/NewThing/properties/name/pattern",
            "name",
            Set("/components/schemas/NewThing/properties/name/pattern", json!("^[a-z0-9]+$")),
            Remove("/components/schemas/NewThing/properties/name/pattern"),
        ),
        new(
            "/components/schemas/NewThing/properties/labels/maxProperties",
            "labels",
            Set("/components/schemas/NewThing/properties/labels/maxProperties", json!(10)),
        ),
        new(
            "/components/schemas/NewThing/properties/labels/additionalProperties/maxLength",
            "labels",
            Set("/components/schemas/NewThing/properties/labels/additionalProperties/maxLength", json!(8)),
        ),
    ]
}

#[test]
fn input_that_was_accepted_must_still_be() {
    check_api(&cases());
}
