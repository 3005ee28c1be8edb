//! Paths, operations, parameters and bodies.

use contracts::{Break, Rule, openapi};
use serde_json::json;

use super::{Case, case, check_api, fixture, one_way};
use crate::edit::Edit::{Remove, Set};

pub(super) fn cases() -> Vec<Case> {
    [servers(), paths(), parameters(), bodies()].into_iter().flatten().collect()
}

fn servers() -> Vec<Case> {
    vec![
        case(
            Rule::ServerRemoved,
            "/servers/0",
            "https://things.example",
            Set("/servers/0/url", json!("https://other.example")),
            Set("/servers/0/description", json!("Ours.")),
        ),
        // Those of a path or of an operation replace those of the document.
        case(
            Rule::ServerRemoved,
            "/servers/0",
            "https://things.example",
            Set("/paths/~1things/servers", json!([{"url": "/other"}])),
            Set("/servers/-", json!({"url": "/other"})),
        ),
        case(
            Rule::ServerRemoved,
            "/servers/0",
            "https://things.example",
            Set("/paths/~1things/get/servers", json!([{"url": "https://things.example", "variables": {}}])),
            Set(
                "/paths/~1things/get/servers",
                json!([{"url": "https://things.example", "description": "Ours."}]),
            ),
        ),
    ]
}

/// Without servers, paths are those of the address at which the document is.
#[test]
fn a_first_server_replaces_the_address_of_the_document() {
    let without = Remove("/servers").apply(&fixture::document());
    let expected = |name: &str| {
        let rule = Rule::ServerRemoved;
        [Break {
            rule,
            at: if name == "/" { "/servers" } else { "/servers/0" }.to_owned(),
            name: name.to_owned(),
        }]
    };
    assert_eq!(openapi::breaks(&without, &fixture::document()), expected("/"));
    assert_eq!(openapi::breaks(&fixture::document(), &without), expected("https://things.example"));
}

fn paths() -> Vec<Case> {
    vec![
        one_way(Rule::PathRemoved, "/paths/~1things~1{id}", "/things/{id}", Remove("/paths/~1things~1{id}")),
        one_way(Rule::OperationRemoved, "/paths/~1things/get", "GET /things", Remove("/paths/~1things/get")),
        // A keyword of OpenAPI that no rule knows, and one that only describes.
        case(
            Rule::UnknownKeywordChanged,
            "/paths/~1things/post/callbacks",
            "POST /things",
            Set("/paths/~1things/post/callbacks", json!({"done": {}})),
            Set("/paths/~1things/post/summary", json!("Makes a thing")),
        ),
        case(
            Rule::UnknownKeywordChanged,
            "/webhooks",
            "document",
            Set("/webhooks", json!({"done": {}})),
            Set("/info/version", json!("2.0.0")),
        ),
    ]
}

fn parameters() -> Vec<Case> {
    vec![
        one_way(
            Rule::ParameterRemoved,
            "/paths/~1things/get/parameters/0",
            "limit",
            Remove("/paths/~1things/get/parameters/0"),
        ),
        // The name is the same, the place is not: clients send it where nobody reads it.
        case(
            Rule::ParameterRemoved,
            "/paths/~1things/get/parameters/0",
            "limit",
            Set("/paths/~1things/get/parameters/0/in", json!("cookie")),
            Set("/paths/~1things/get/parameters/2/name", json!("if-match")),
        ),
        one_way(
            Rule::ParameterRequired,
            "/paths/~1things/get/parameters/0",
            "limit",
            Set("/paths/~1things/get/parameters/0/required", json!(true)),
        ),
        case(
            Rule::ParameterRequired,
            "/paths/~1things/get/parameters/3",
            "tenant",
            Set(
                "/paths/~1things/get/parameters/-",
                json!({"name": "tenant", "in": "query", "required": true}),
            ),
            Set("/paths/~1things/get/parameters/-", json!({"name": "tenant", "in": "query"})),
        ),
        case(
            Rule::ParameterStyleChanged,
            "/paths/~1things/get/parameters/1",
            "colour",
            Set("/paths/~1things/get/parameters/1/explode", json!(false)),
            Set("/paths/~1things/get/parameters/1/explode", json!(true)),
        ),
        case(
            Rule::ParameterStyleChanged,
            "/paths/~1things/get/parameters/1",
            "colour",
            Set("/paths/~1things/get/parameters/1/style", json!("deepObject")),
            Set("/paths/~1things/get/parameters/1/style", json!("form")),
        ),
        // Parameters of the path count for its operations.
        case(
            Rule::FormatChanged,
            "/paths/~1things~1{id}/parameters/0/schema/format",
            "id",
            Set("/paths/~1things~1{id}/parameters/0/schema/format", json!("date")),
            Remove("/paths/~1things~1{id}/parameters/0/schema/format"),
        ),
    ]
}

fn bodies() -> Vec<Case> {
    vec![
        one_way(
            Rule::RequestBodyRequired,
            "/paths/~1things/post/requestBody",
            "POST /things",
            Set("/paths/~1things/post/requestBody/required", json!(true)),
        ),
        case(
            Rule::RequestBodyRequired,
            "/paths/~1things/get/requestBody",
            "GET /things",
            Set("/paths/~1things/get/requestBody", json!({"required": true, "content": {"text/plain": {}}})),
            Set("/paths/~1things/get/requestBody", json!({"content": {"text/plain": {}}})),
        ),
        one_way(
            Rule::RequestBodyRemoved,
            "/paths/~1things/post/requestBody",
            "POST /things",
            Remove("/paths/~1things/post/requestBody"),
        ),
        one_way(
            Rule::RequestMediaTypeRemoved,
            "/paths/~1things/post/requestBody/content/application~1cbor",
            "application/cbor",
            Remove("/paths/~1things/post/requestBody/content/application~1cbor"),
        ),
    ]
}

#[test]
fn a_request_that_was_accepted_must_still_be() {
    check_api(&cases());
}
