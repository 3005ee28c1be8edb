//! Statuses, media types and headers.

use contracts::Rule;
use serde_json::json;

use super::{Case, case, check_api, one_way};
use crate::edit::Edit::{Remove, Set};

const STATUS: &str = "/paths/~1things/post/responses/400";

pub(super) fn cases() -> Vec<Case> {
    vec![
        one_way(Rule::ResponseStatusRemoved, STATUS, "400", Remove(STATUS)),
        one_way(
            Rule::ResponseMediaTypeRemoved,
            "/paths/~1things/get/responses/200/content/text~1csv",
            "text/csv",
            Remove("/paths/~1things/get/responses/200/content/text~1csv"),
        ),
        one_way(
            Rule::ResponseHeaderRemoved,
            "/paths/~1things/get/responses/200/headers/ETag",
            "ETag",
            Remove("/paths/~1things/get/responses/200/headers/ETag"),
        ),
        one_way(
            Rule::ResponseHeaderOptional,
            "/paths/~1things/get/responses/200/headers/ETag",
            "ETag",
            Set("/paths/~1things/get/responses/200/headers/ETag/required", json!(false)),
        ),
        case(
            Rule::TypeChanged,
            "/paths/~1things/get/responses/200/headers/Age/schema/type",
            "Age",
            Set("/paths/~1things/get/responses/200/headers/Age/schema/type", json!("string")),
            Set("/paths/~1things/get/responses/200/headers/Age/schema/minimum", json!(0)),
        ),
        case(
            Rule::UnknownKeywordChanged,
            "/paths/~1things/get/responses/200/content/text~1csv/itemSchema",
            "text/csv",
            Set("/paths/~1things/get/responses/200/content/text~1csv/itemSchema", json!({})),
            Set("/paths/~1things/get/responses/200/content/text~1csv/example", json!("a,b")),
        ),
    ]
}

#[test]
fn a_response_must_have_all_that_clients_read() {
    check_api(&cases());
}
