//! Schemas of what clients read.

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
            Rule::OutputFieldRemoved,
            "/components/schemas/Thing/properties/count",
            "count",
            Remove("/components/schemas/Thing/properties/count"),
        ),
        // Also if it was not always there.
        one_way(
            Rule::OutputFieldRemoved,
            "/components/schemas/Thing/properties/nickname",
            "nickname",
            Remove("/components/schemas/Thing/properties/nickname"),
        ),
        one_way(
            Rule::OutputFieldOptional,
            "/components/schemas/Thing/properties/name",
            "name",
            Remove("/components/schemas/Thing/required/1"),
        ),
    ]
}

fn types() -> Vec<Case> {
    vec![
        one_way(
            Rule::TypeChanged,
            "/components/schemas/Thing/properties/name/type",
            "name",
            Set("/components/schemas/Thing/properties/name/type", json!(["string", "null"])),
        ),
        case(
            Rule::TypeChanged,
            "/components/schemas/Thing/properties/name/type",
            "name",
            Set("/components/schemas/Thing/properties/name/type", json!("integer")),
            Set("/components/schemas/Thing/properties/ratio/type", json!("integer")),
        ),
        case(
            Rule::TypeChanged,
            "/components/schemas/Thing/properties/count/type",
            "count",
            Set("/components/schemas/Thing/properties/count/type", json!("number")),
            Set("/components/schemas/Thing/properties/anything/type", json!("number")),
        ),
        // Of the items of an array.
        case(
            Rule::TypeChanged,
            "/paths/~1things/get/responses/200/content/application~1json/schema/items",
            "GET /things",
            Remove("/paths/~1things/get/responses/200/content/application~1json/schema/items"),
            Set("/components/schemas/Thing/properties/added", json!({"type": "string"})),
        ),
        // A map, of which any value may now be anything.
        one_way(
            Rule::TypeChanged,
            "/components/schemas/Thing/properties/labels/additionalProperties",
            "labels",
            Set("/components/schemas/Thing/properties/labels/additionalProperties", json!(true)),
        ),
        one_way(
            Rule::FormatChanged,
            "/components/schemas/Thing/properties/made_at/format",
            "made_at",
            Remove("/components/schemas/Thing/properties/made_at/format"),
        ),
        one_way(
            Rule::FormatChanged,
            "/components/schemas/Thing/properties/count/format",
            "count",
            Set("/components/schemas/Thing/properties/count/format", json!("int64")),
        ),
        // As the same component of input, it may.
        case(
            Rule::FormatChanged,
            "/components/schemas/Part/properties/count/format",
            "count",
            Set("/components/schemas/Part/properties/count/format", json!("int64")),
            Set("/components/schemas/Part/properties/count/example", json!(1)),
        ),
        // A field that may be `null` now: the place is where `null` is written.
        one_way(
            Rule::TypeChanged,
            "/components/schemas/Thing/properties/owner",
            "owner",
            Set(
                "/components/schemas/Thing/properties/owner/oneOf",
                json!([{"type": "null"}, {"type": "object"}]),
            ),
        ),
    ]
}

fn values() -> Vec<Case> {
    let problem =
        "/paths/~1things/post/responses/400/content/application~1problem+json/schema/properties/type";
    vec![
        // Written as alternatives of one value each.
        one_way(
            Rule::OutputEnumWidened,
            "/components/schemas/Thing/properties/state/enum",
            "state",
            Set("/components/schemas/Thing/properties/state/oneOf/-", json!({"const": "lost"})),
        ),
        case(
            Rule::OutputEnumWidened,
            "/components/schemas/Thing/properties/state/enum",
            "state",
            Set("/components/schemas/Thing/properties/state", json!({"type": "string"})),
            Set(
                "/components/schemas/Thing/properties/state",
                json!({"type": "string", "enum": ["old", "new"]}),
            ),
        ),
        // Clients act on the values of an open enumeration that they know.
        one_way(
            Rule::OutputEnumValueRemoved,
            "/paths/~1things/post/responses/400/content/application~1problem+json/schema/properties/type/enum",
            "/problems/b",
            Remove(
                "/paths/~1things/post/responses/400/content/application~1problem+json/schema/properties/type/enum/1",
            ),
        ),
        case(
            Rule::OutputEnumValueRemoved,
            "/paths/~1things/post/responses/400/content/application~1problem+json/schema/properties/type/enum",
            "/problems/a",
            Set(
                "/paths/~1things/post/responses/400/content/application~1problem+json/schema/properties/type/enum/0",
                json!("/problems/renamed"),
            ),
            Set(
                "/paths/~1things/post/responses/400/content/application~1problem+json/schema/properties/type/enum",
                json!(["/problems/c", "/problems/b", "/problems/a"]),
            ),
        ),
        // Documented as open: readers expect further values, until the document closes it.
        case(
            Rule::OutputFieldRemoved,
            problem,
            "type",
            Remove(
                "/paths/~1things/post/responses/400/content/application~1problem+json/schema/properties/type",
            ),
            Set(
                "/paths/~1things/post/responses/400/content/application~1problem+json/schema/properties/type/enum/-",
                json!("/problems/c"),
            ),
        ),
        // Readers of a closed enumeration did not know that it would open.
        one_way(
            Rule::OutputEnumWidened,
            "/components/schemas/Thing/properties/state/enum",
            "state",
            Set("/components/schemas/Thing/properties/state/x-open-enum", json!(true)),
        ),
    ]
}

fn limits() -> Vec<Case> {
    let loosened = |pointer, name, breaking| one_way(Rule::OutputLimitLoosened, pointer, name, breaking);
    vec![
        loosened(
            "/components/schemas/Thing/properties/name/maxLength",
            "name",
            Set("/components/schemas/Thing/properties/name/maxLength", json!(65)),
        ),
        loosened(
            "/components/schemas/Thing/properties/name/maxLength",
            "name",
            Remove("/components/schemas/Thing/properties/name/maxLength"),
        ),
        loosened(
            "/components/schemas/Thing/properties/count/minimum",
            "count",
            Set("/components/schemas/Thing/properties/count/minimum", json!(-1)),
        ),
        loosened(
            "/paths/~1things/get/responses/200/content/application~1json/schema/maxItems",
            "GET /things",
            Set("/paths/~1things/get/responses/200/content/application~1json/schema/maxItems", json!(101)),
        ),
        loosened(
            "/components/schemas/Thing/properties/name/pattern",
            "name",
            Remove("/components/schemas/Thing/properties/name/pattern"),
        ),
    ]
}

#[test]
fn output_must_be_what_clients_can_read() {
    check_api(&cases());
}
