//! The names in a query. promtool checks its grammar.

use std::collections::BTreeSet;

use regex::{Match, Regex};

fn tokens() -> Result<Regex, regex::Error> {
    let text = r#""(?:[^"\\]|\\.)*""#;
    let range = r"\[[^\]]*\]";
    let number = "[0-9][0-9a-z.]*";
    let name = "[A-Za-z_:][A-Za-z0-9_:]*";
    Regex::new(&format!("{text}|{range}|{number}|{name}|[{{}}(),=!~]"))
}

const OPERATORS: [&str; 5] = ["and", "or", "unless", "bool", "offset"];
const GROUPINGS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
const AGGREGATIONS: [&str; 8] = ["sum", "min", "max", "avg", "count", "topk", "bottomk", "quantile"];

/// A selector's metric and the labels that it names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) metric: String,
    pub(crate) labels: BTreeSet<String>,
    /// With all its matchers, as it stands in the query.
    pub(crate) text: String,
}

/// The names in a query.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) selectors: Vec<Selector>,
    /// Labels by which results are grouped or joined.
    pub(crate) groupings: BTreeSet<String>,
}

/// Where a name stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Matchers,
    Grouping,
}

pub(crate) fn names(query: &str) -> Result<Names, regex::Error> {
    let tokens = tokens()?;
    let tokens: Vec<_> = tokens.find_iter(query).collect();
    let mut names = Names::default();
    let mut place = Place::Outside;
    let mut matchers_begin = 0;
    for (index, token) in tokens.iter().enumerate() {
        let next = tokens.get(index + 1).map(Match::as_str).unwrap_or_default();
        let (token, range) = (token.as_str(), token.range());
        let is_name = token.starts_with(|first: char| first.is_ascii_alphabetic() || "_:".contains(first));
        match (place, token) {
            (Place::Outside, "{") => (place, matchers_begin) = (Place::Matchers, range.start),
            (Place::Matchers, "}") => {
                place = Place::Outside;
                let matchers = query.get(matchers_begin..range.end).unwrap_or_default();
                if let Some(last) = names.selectors.last_mut() {
                    last.text.push_str(matchers);
                }
            }
            (Place::Grouping, ")") => place = Place::Outside,
            (Place::Outside, token) if GROUPINGS.contains(&token) && next == "(" => place = Place::Grouping,
            (Place::Grouping, token) if is_name => {
                names.groupings.insert(token.to_owned());
            }
            (Place::Matchers, token) if is_name => {
                names.selectors.last_mut().map(|last| last.labels.insert(token.to_owned()));
            }
            (Place::Outside, token) if is_name && is_metric(token, next) => {
                let (metric, text) = (token.to_owned(), token.to_owned());
                names.selectors.push(Selector { metric, labels: BTreeSet::new(), text });
            }
            _ => {}
        }
    }
    Ok(names)
}

fn is_metric(token: &str, next: &str) -> bool {
    let is_word = [&OPERATORS[..], &GROUPINGS[..], &AGGREGATIONS[..]].concat().contains(&token);
    !is_word && next != "("
}

#[test]
fn the_names_of_a_query_are_found() {
    let query = r#"sum by (job) (rate(a_total{x="by {q} (\"z\")", y!~"b"}[5m])) > 14.4 * 0.5
        and on (pool) c:d:e5m offset 5m"#;
    let names = names(query).unwrap();
    let selector = |metric: &str, labels: &[&str], matchers: &str| Selector {
        metric: metric.to_owned(),
        labels: labels.iter().map(ToString::to_string).collect(),
        text: format!("{metric}{matchers}"),
    };
    let first = selector("a_total", &["x", "y"], r#"{x="by {q} (\"z\")", y!~"b"}"#);
    assert_eq!(names.selectors, [first, selector("c:d:e5m", &[], "")]);
    assert_eq!(Vec::from_iter(names.groupings), ["job", "pool"]);
}
