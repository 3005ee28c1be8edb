//! What the changelog says of a break.

use contracts::changelog::Changelog;
use contracts::{Break, Rule};

const TEXT: &str = "\
# Changelog

## Unreleased

- write-api has a new `field`.

### Breaking

- write-api: `GET
  /orders` needs a `key`. The
  second line counts too.
- events: `status` may be `lost`.

### For operators

- read-api: `after` is unsafe.

## 1.0.0

### Breaking

- read-api: `cursor` is shorter.
";

fn broken(name: &str) -> Break {
    Break { rule: Rule::TypeChanged, at: "/x".to_owned(), name: name.to_owned() }
}

#[test]
fn an_item_under_breaking_names_the_contract_and_in_backticks_what_is_broken() {
    let changelog = Changelog::parse(TEXT);
    for (contract, name, is_named) in [
        ("write-api", "key", true),
        ("write-api", "GET /orders", true),
        ("events", "status", true),
        ("read-api", "status", false),
        ("write-api", "second", false),
        ("write-api", "field", false),
        ("read-api", "after", false),
    ] {
        assert_eq!(changelog.names_for_next_release(contract, &broken(name)), is_named, "{contract} {name}");
        assert_eq!(changelog.names(contract, &broken(name)), is_named, "{contract} {name}");
    }
}

#[test]
fn an_item_of_a_release_does_not_allow_another_break() {
    let changelog = Changelog::parse(TEXT);
    assert!(changelog.names("read-api", &broken("cursor")));
    assert!(!changelog.names_for_next_release("read-api", &broken("cursor")));
}
