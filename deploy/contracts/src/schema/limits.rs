//! The rules for limits.

use std::cmp::Ordering;

use serde_json::Value;

use super::Pair;
use crate::comparison::{Comparison, Direction};
use crate::rule::Rule;

/// The smaller the value, the stricter.
const UPPER: &[&str] = &["maxLength", "maxItems", "maxProperties", "maximum", "exclusiveMaximum"];
/// The larger the value, the stricter.
const LOWER: &[&str] = &["minLength", "minItems", "minProperties", "minimum", "exclusiveMinimum"];
/// Whether one value is stricter than another is not decided: each change counts.
const EXACT: &[&str] = &["pattern", "multipleOf", "uniqueItems"];

pub(super) fn is_limit(keyword: &str) -> bool {
    [UPPER, LOWER, EXACT].iter().any(|keywords| keywords.contains(&keyword))
}

impl Comparison {
    /// The sender's limit must be as strict as the receiver's.
    pub(super) fn limits(&mut self, pair: &Pair<'_>) {
        for (keywords, stricter) in [(UPPER, Ordering::Less), (LOWER, Ordering::Greater)] {
            for keyword in keywords {
                let strictest = |values: Vec<&Value>| {
                    values
                        .into_iter()
                        .filter_map(Number::new)
                        .reduce(|a, b| if b.compare(a) == stricter { b } else { a })
                };
                let (old, new) = (strictest(pair.old.all(keyword)), strictest(pair.new.all(keyword)));
                let (sent, read) = pair.direction.sender_receiver(old, new);
                let fits = match (sent, read) {
                    (_, None) => true,
                    (None, Some(_)) => false,
                    (Some(sent), Some(read)) => read.compare(sent) != stricter,
                };
                self.limit(pair, keyword, fits);
            }
        }
        for keyword in EXACT {
            let in_force = |values: Vec<&Value>| -> Vec<String> {
                let set = values.into_iter().filter(|value| **value != Value::Bool(false));
                set.map(Value::to_string).collect()
            };
            let (old, new) = (in_force(pair.old.all(keyword)), in_force(pair.new.all(keyword)));
            let (sent, read) = pair.direction.sender_receiver(old, new);
            self.limit(pair, keyword, read.iter().all(|limit| sent.contains(limit)));
        }
    }

    fn limit(&mut self, pair: &Pair<'_>, keyword: &str, fits: bool) {
        if fits {
            return;
        }
        let rule = match pair.direction {
            Direction::Input => Rule::InputLimitTightened,
            Direction::Output => Rule::OutputLimitLoosened,
        };
        self.add_for(pair, rule, keyword);
    }
}

/// A number of a document. Whole numbers are compared exactly: `f64` cannot tell 2^53 from 2^53 + 1.
#[derive(Debug, Clone, Copy)]
enum Number {
    Whole(i128),
    Other(f64),
}

impl Number {
    fn new(value: &Value) -> Option<Self> {
        let whole = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
        whole.map(Self::Whole).or_else(|| value.as_f64().map(Self::Other))
    }

    fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a.cmp(&b),
            (a, b) => a.approximate().total_cmp(&b.approximate()),
        }
    }

    #[expect(
        clippy::as_conversions,
        clippy::cast_precision_loss,
        reason = "compared with a number that is not whole"
    )]
    fn approximate(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Other(other) => other,
        }
    }
}
