//! The limits in the OpenAPI document are those of the code.

use serde_json::{Value, json};
use shared_events::OrderChange;

use super::checkpoint::Checkpoint;
use super::query::{DEFAULT_LIMIT, MAX_LIMIT};
use super::reads::MAX_BYTES;
use super::{EVENTS, MAX_WAIT_S};

fn document() -> Value {
    serde_json::to_value(super::document()).unwrap()
}

fn operation() -> Value {
    document()["paths"][EVENTS]["get"].clone()
}

fn parameter(name: &str) -> Value {
    let operation = operation();
    let found = operation["parameters"].as_array().unwrap().iter().find(|found| found["name"] == name);
    found.unwrap_or_else(|| panic!("no parameter {name}")).clone()
}

fn assert_says(value: &Value, expected: &str) {
    // A description in the source may be broken into lines anywhere.
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let description = words(value["description"].as_str().unwrap());
    assert!(description.contains(expected), "{expected:?} is missing in: {description}");
}

#[test]
fn the_documented_size_of_a_page_is_the_maximum_and_the_default() {
    let limit = parameter("limit");
    assert_eq!((&limit["schema"]["minimum"], &limit["schema"]["maximum"]), (&json!(1), &json!(MAX_LIMIT)));
    assert_eq!(limit["schema"]["default"], json!(DEFAULT_LIMIT));
    assert_says(&limit, &format!("about {} MiB", MAX_BYTES >> 20));
    let page = &document()["components"]["schemas"]["FeedPage"]["properties"];
    assert_eq!(page["events"]["maxItems"], json!(MAX_LIMIT));
}

#[test]
fn every_kind_is_documented() {
    let kind = parameter("kind");
    assert_eq!(kind["schema"]["maxItems"], json!(OrderChange::ALL.len()));
    for change in OrderChange::ALL {
        assert_says(&kind, &format!("`{}`", change.kind()));
    }
}

#[test]
fn the_documented_wait_is_the_maximum() {
    assert_says(&parameter("Prefer"), &format!("More than {MAX_WAIT_S} counts as {MAX_WAIT_S}."));
    assert_says(&operation(), &format!("up to {MAX_WAIT_S} seconds"));
}

#[test]
fn the_documented_checkpoint_is_one() {
    let checkpoint = &document()["components"]["schemas"]["FeedPage"]["properties"]["checkpoint"];
    let length = Checkpoint { history: 1, position: 2 }.to_string().len();
    let example = checkpoint["example"].as_str().unwrap();
    assert!(
        example.parse::<Checkpoint>().is_ok(),
        "such as {}",
        Checkpoint { history: -1_234_567, position: 4_711 }
    );
    assert_eq!(parameter("after")["schema"]["pattern"], format!("^(now|[A-Za-z0-9_-]{{{length}}})$"));
}
