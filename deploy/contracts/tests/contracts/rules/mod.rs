//! Each rule finds its break, and nothing else, in a changed document; the compatible change beside it passes.

mod combined;
mod event_kinds;
mod fixture;
mod input;
mod output;
mod requests;
mod responses;
mod security;

use std::collections::BTreeSet;

use contracts::{Break, Rule, openapi};
use serde_json::Value;

use crate::edit::Edit;

/// A change that breaks users, and what the rules say of it.
struct Case {
    rule: Rule,
    at: &'static str,
    name: &'static str,
    breaking: Edit,
    /// A change nearby that breaks nobody; without one, the breaking change undone.
    compatible: Option<Edit>,
}

/// The compatible change is the breaking one undone.
fn one_way(rule: Rule, at: &'static str, name: &'static str, breaking: Edit) -> Case {
    Case { rule, at, name, breaking, compatible: None }
}

fn case(rule: Rule, at: &'static str, name: &'static str, breaking: Edit, compatible: Edit) -> Case {
    Case { rule, at, name, breaking, compatible: Some(compatible) }
}

/// Checks the cases against a document.
fn check(document: &Value, breaks: fn(&Value, &Value) -> Vec<Break>, cases: &[Case]) {
    assert_eq!(breaks(document, document), [], "the document itself");
    for case in cases {
        let label = format!("{} by {:?}", case.rule, case.breaking);
        let changed = case.breaking.apply(document);
        let expected = Break { rule: case.rule, at: case.at.to_owned(), name: case.name.to_owned() };
        assert_eq!(breaks(document, &changed), [expected], "{label}");
        let (before, after) = match &case.compatible {
            Some(compatible) => (document, &compatible.apply(document)),
            None => (&changed, document),
        };
        assert_eq!(breaks(before, after), [], "the compatible change beside {label}");
        assert_ne!(before, after, "{label}: no change");
    }
}

fn check_api(cases: &[Case]) {
    check(&fixture::document(), openapi::breaks, cases);
}

#[test]
fn every_rule_has_a_case() {
    let all = [
        requests::cases(),
        responses::cases(),
        input::cases(),
        output::cases(),
        combined::cases(),
        security::cases(),
        event_kinds::cases(),
    ];
    let found: BTreeSet<_> = all.iter().flatten().map(|case| case.rule).collect();
    assert_eq!(found, Rule::ALL.iter().copied().collect());
}
