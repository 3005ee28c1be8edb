//! The limits in the OpenAPI document and in the dashboard are those of the code.

use serde_json::{Value, json};

use super::customer_id::MAX_CHARS;
use super::list_query::{DEFAULT_LIMIT, EXAMPLE_AFTER, MAX_LIMIT};
use super::preference::MAX_WAIT_S;
use super::{CUSTOMER_ORDERS, CUSTOMER_ORDERS_STREAM, ORDER, ORDERS};
use crate::live::{HEARTBEAT, SNAPSHOT_ORDERS};
use crate::model::OrderStatus;

fn operation(path: &str) -> Value {
    serde_json::to_value(super::document()).unwrap()["paths"][path]["get"].clone()
}

fn parameter(path: &str, name: &str) -> Value {
    let operation = operation(path);
    let found =
        operation["parameters"].as_array().unwrap().iter().find(|parameter| parameter["name"] == name);
    found.unwrap_or_else(|| panic!("{path} has no parameter {name}")).clone()
}

fn assert_says(value: &Value, expected: &str) {
    // A description in the source may be broken into lines anywhere.
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let description = words(value["description"].as_str().unwrap());
    assert!(description.contains(expected), "{expected:?} is missing in: {description}");
}

#[test]
fn the_documented_length_of_a_customer_id_is_the_maximum() {
    for path in [CUSTOMER_ORDERS, CUSTOMER_ORDERS_STREAM] {
        assert_eq!(parameter(path, "customer_id")["schema"]["maxLength"], json!(MAX_CHARS), "{path}");
    }
    let page = include_str!("dashboard/index.html");
    assert!(page.contains(&format!("maxlength=\"{MAX_CHARS}\"")), "the search field has another limit");
}

#[test]
fn the_documented_size_of_a_page_is_the_maximum_and_the_default() {
    for path in [CUSTOMER_ORDERS, ORDERS] {
        let limit = parameter(path, "limit");
        assert_eq!(
            (&limit["schema"]["minimum"], &limit["schema"]["maximum"]),
            (&json!(1), &json!(MAX_LIMIT))
        );
        assert_eq!(limit["schema"]["default"], json!(DEFAULT_LIMIT), "{path}");
    }
    let document = serde_json::to_value(super::document()).unwrap();
    let orders = &document["components"]["schemas"]["ListResponse"]["properties"]["orders"];
    assert_eq!(orders["maxItems"], json!(MAX_LIMIT));
}

#[test]
fn every_status_is_documented() {
    for path in [CUSTOMER_ORDERS, ORDERS] {
        let status = parameter(path, "status");
        assert_eq!(status["schema"]["maxItems"], json!(OrderStatus::ALL.len()));
        for name in OrderStatus::ALL.map(OrderStatus::as_str) {
            assert_says(&status, &format!("`{name}`"));
        }
    }
}

#[test]
fn the_documented_wait_is_the_maximum() {
    for path in [ORDER, CUSTOMER_ORDERS, ORDERS] {
        assert_says(&parameter(path, "Prefer"), &format!("More than {MAX_WAIT_S} counts as {MAX_WAIT_S}."));
        assert_says(&operation(path), &format!("up to {MAX_WAIT_S} seconds"));
    }
}

#[test]
fn the_documented_example_of_after_is_that_of_its_problem() {
    for path in [CUSTOMER_ORDERS, ORDERS] {
        assert_eq!(parameter(path, "after")["example"], EXAMPLE_AFTER, "{path}");
    }
}

#[test]
fn the_documented_snapshot_and_heartbeat_are_those_of_streams() {
    let stream = operation(CUSTOMER_ORDERS_STREAM);
    assert_says(&stream, &format!("the newest {SNAPSHOT_ORDERS} orders"));
    assert_says(&stream, &format!("every {} seconds", HEARTBEAT.as_secs()));
}
