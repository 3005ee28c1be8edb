//! The checklist of docs/operating.md: each line has a command, its SQL runs, and its metrics exist.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use anyhow::{Context, Result, ensure};
use regex::Regex;
use testkit::test_database::TestDatabase;

use super::Document;
use super::links::regex;

const CHECKLIST: &str = "docs/operating.md";
/// More would not be gone through.
const MAX_LINES: usize = 25;

static SQL: LazyLock<Regex> = LazyLock::new(|| regex(r#"sql "([^"]+)""#));
static METRIC: LazyLock<Regex> = LazyLock::new(|| regex(r"\b(?:orders|process)_[a-z_]+[a-z]\b"));

/// The lines of the table, without its head.
fn lines(text: &str) -> Vec<&str> {
    let is_numbered = |line: &&str| {
        let first = line.split('|').nth(1).unwrap_or_default().trim();
        first.parse::<usize>().is_ok()
    };
    text.lines().filter(is_numbered).collect()
}

#[test]
fn the_checklist_has_a_command_in_each_of_at_most_25_lines() -> Result<()> {
    let text = Document::read(CHECKLIST)?.text;
    let lines = lines(&text);
    ensure!((20..=MAX_LINES).contains(&lines.len()), "{} lines", lines.len());
    for line in lines {
        let cells: Vec<_> = line.split(" | ").collect();
        ensure!(cells.len() == 4, "not four cells: {line}");
        ensure!(cells.get(2).is_some_and(|command| command.matches('`').count() >= 2), "no command: {line}");
    }
    Ok(())
}

#[tokio::test]
async fn the_statements_of_the_checklist_run() -> Result<()> {
    let (database, text) = (TestDatabase::create().await?, Document::read(CHECKLIST)?.text);
    let session = database.connect().await?;
    let statements: Vec<_> = SQL.captures_iter(&text).map(|found| found[1].to_owned()).collect();
    ensure!(statements.len() >= 10, "only {} statements were found", statements.len());
    for statement in statements {
        let statement = statement.replace("$(date +%s)", "0");
        session.simple_query(&statement).await.with_context(|| statement.clone())?;
    }
    Ok(())
}

#[test]
fn the_metrics_of_the_checklist_exist() -> Result<()> {
    let (text, reference) = (Document::read(CHECKLIST)?.text, Document::read("docs/metrics.md")?.text);
    let asked = text.lines().filter(|line| line.contains("ask '"));
    let names: BTreeSet<_> =
        asked.flat_map(|line| METRIC.find_iter(line)).map(|name| name.as_str()).collect();
    ensure!(names.len() >= 5, "only {names:?} were found");
    for name in names {
        ensure!(reference.contains(&format!("`{name}`")), "there is no metric {name}");
    }
    Ok(())
}
