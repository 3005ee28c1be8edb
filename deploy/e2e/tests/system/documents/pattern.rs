//! Compares the output that an example shows with the actual output.

use anyhow::{Context, Result, ensure};
use regex::Regex;

/// What differs from run to run: a pattern of what examples show, and of what it matches.
const PLACEHOLDERS: [(&str, &str); 6] = [
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"),
    (r"…\d+ orders…", ""),
    ("…", ".*?"),
    // A cursor; in a link it is percent-encoded.
    (r"[A-Za-z0-9_-]{55}", r"[A-Za-z0-9_%-]{55,}"),
    (r"id: \S+", r"id: \S+"),
    (r"\d+\.\d ms", r"\d+\.\d ms"),
];

/// Joins lines and drops indentation: examples wrap JSON, the service does not.
pub(super) fn joined<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    lines.into_iter().map(str::trim).collect()
}

/// A pattern for the output that is shown. Everything must match literally, except placeholders.
pub(super) fn pattern(shown: &str) -> Result<String> {
    let any = PLACEHOLDERS.map(|(written, _)| format!("({written})")).join("|");
    let any = Regex::new(&any)?;
    let mut pattern = String::new();
    let mut done = 0;
    for found in any.captures_iter(shown) {
        let whole = found.get(0).context("no match")?;
        pattern.push_str(&regex::escape(&shown[done..whole.start()]));
        let mut groups = PLACEHOLDERS.iter().zip(1..);
        let ((_, stands_for), _) =
            groups.find(|(_, group)| found.get(*group).is_some()).context("no group")?;
        if stands_for.is_empty() {
            let count: String = whole.as_str().chars().filter(char::is_ascii_digit).collect();
            pattern.extend([r"(\{[^{}]*\},?){", &count, "}"]);
        } else {
            pattern.push_str(stands_for);
        }
        done = whole.end();
    }
    pattern.push_str(&regex::escape(&shown[done..]));
    Ok(pattern)
}

/// The status line, each shown header and the whole body must match.
pub(crate) fn compare(shown: &[String], actual: &str) -> Result<()> {
    let (shown_head, shown_body) = split(shown.iter().map(String::as_str).collect());
    let actual: Vec<_> = actual.lines().collect();
    let (head, body) = if shown_head.is_empty() { (Vec::new(), actual) } else { split(actual) };
    compare_heads(&shown_head, &head)?;
    let expected = format!("^{}$", pattern(&joined(shown_body))?);
    let body = joined(body);
    ensure!(Regex::new(&expected)?.is_match(&body), "the body is\n{body}\nbut must match\n{expected}");
    Ok(())
}

/// Headers may have any order.
pub(super) fn compare_heads(shown: &[&str], head: &[&str]) -> Result<()> {
    ensure!(shown.first() == head.first(), "the status is {:?}", head.first());
    for header in shown.iter().skip(1) {
        let same = Regex::new(&format!("^{}$", pattern(header)?))?;
        ensure!(head.iter().any(|line| same.is_match(line)), "no header {header:?} in {head:#?}");
    }
    Ok(())
}

/// Head and body of a response. Without a status line, all lines are body.
pub(super) fn split(lines: Vec<&str>) -> (Vec<&str>, Vec<&str>) {
    if !lines.first().is_some_and(|line| line.starts_with("HTTP/")) {
        return (Vec::new(), lines);
    }
    let lines: Vec<_> = lines.into_iter().map(str::trim_end).collect();
    let mut parts = lines.splitn(2, |line| line.is_empty());
    let mut part = || parts.next().unwrap_or_default().to_vec();
    (part(), part())
}
