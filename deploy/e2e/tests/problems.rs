//! The documents list every problem type of each API, with its status.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};
use regex::Regex;

/// Status and slug of a problem type.
type Problem = (String, String);

fn read(path: &str) -> Result<String> {
    fs::read_to_string(format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR")))
        .with_context(|| path.to_owned())
}

fn find(pattern: &str, text: &str) -> Result<BTreeSet<Problem>> {
    let problems = Regex::new(pattern)?;
    let problems: BTreeSet<_> =
        problems.captures_iter(text).map(|found| (found[1].to_owned(), found[2].to_owned())).collect();
    anyhow::ensure!(!problems.is_empty(), "no problem types");
    Ok(problems)
}

/// Those in the table below "Errors".
fn documented(readme: &str) -> Result<BTreeSet<Problem>> {
    let readme = read(readme)?;
    let (_, errors) = readme.split_once("\n## Errors\n").context("no section")?;
    let errors = errors.split("\n## ").next().unwrap_or_default();
    let mut problems = BTreeSet::new();
    for row in errors.lines().filter(|line| line.starts_with("| 4") || line.starts_with("| 5")) {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let (status, slugs) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
        problems.extend(slugs.split(", ").map(|slug| (status.to_owned(), slug.trim_matches('`').to_owned())));
    }
    Ok(problems)
}

#[test]
fn the_documents_list_every_problem_type_with_its_status() -> Result<()> {
    let fields = r#"status: (\d{3}),\s+slug: "([a-z-]+)""#;
    let shared = find(fields, &read("deploy/service-kit/src/problem/problem_type.rs")?)?;
    let write_api = find(r#"= (\d{3}) "([a-z-]+)""#, &read("write-api/src/adapter/http/problems.rs")?)?;
    let read_api = find(fields, &read("read-api/src/adapter/http/problems.rs")?)?;
    let projector = find(fields, &read("projector/src/feed/problems.rs")?)?;
    assert_eq!(documented("docs/feed.md")?, &shared | &projector);
    assert_eq!(documented("write-api/README.md")?, &shared | &write_api);
    assert_eq!(documented("read-api/README.md")?, &shared | &read_api);
    Ok(())
}
