//! Credentials.

use contracts::Rule;
use serde_json::json;

use super::{Case, case, check_api, one_way};
use crate::edit::Edit::{Remove, Set};

const DELETE: &str = "/paths/~1things~1{id}/delete/security";

pub(super) fn cases() -> Vec<Case> {
    let name = "DELETE /things/{id}";
    vec![
        one_way(
            Rule::SecurityAdded,
            "/paths/~1things/get/security",
            "GET /things",
            Set("/paths/~1things/get/security", json!([{"key": []}])),
        ),
        // One of two ways in is gone; a third one is there.
        case(
            Rule::SecurityAdded,
            DELETE,
            name,
            Set(DELETE, json!([{"oauth": ["write"]}])),
            Set(DELETE, json!([{"key": []}, {"oauth": ["write"]}, {"basic": []}])),
        ),
        // The same scheme with a further scope, or with fewer.
        case(
            Rule::SecurityAdded,
            DELETE,
            name,
            Set(DELETE, json!([{"key": []}, {"oauth": ["write", "admin"]}])),
            Set(DELETE, json!([{"key": []}, {"oauth": []}])),
        ),
        // Both together, or none at all.
        case(
            Rule::SecurityAdded,
            DELETE,
            name,
            Set(DELETE, json!([{"key": [], "oauth": ["write"]}])),
            Set(DELETE, json!([{}])),
        ),
        case(
            Rule::SecuritySchemeChanged,
            "/components/securitySchemes/key",
            "key",
            Set("/components/securitySchemes/key/name", json!("X-Token")),
            Set("/components/securitySchemes/key/description", json!("Ask us for one.")),
        ),
    ]
}

#[test]
fn credentials_that_were_enough_must_still_be() {
    check_api(&cases());
}

#[test]
fn security_of_the_document_counts_for_operations_without_their_own() {
    let document = super::fixture::document();
    let secured = Set("/security", json!([{"key": []}])).apply(&document);
    let breaks = contracts::openapi::breaks(&document, &secured);
    let names: Vec<_> =
        breaks.iter().map(|broken| (broken.rule, broken.at.as_str(), broken.name.as_str())).collect();
    assert_eq!(
        names,
        [
            (Rule::SecurityAdded, "/security", "GET /things"),
            (Rule::SecurityAdded, "/security", "POST /things")
        ]
    );
    assert_eq!(contracts::openapi::breaks(&secured, &Remove("/security").apply(&secured)), []);
}
