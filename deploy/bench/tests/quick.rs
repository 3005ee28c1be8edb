//! Every scenario runs, in two programs at a time; its figures are valid JSON, and an existing server is not changed.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::test_database::TestDatabase;

/// Scenarios that load a service as much as they can.
const LOADED: [&str; 8] = ["auth", "logs", "mixed", "read", "scale", "shares", "traces", "write"];

/// The others mostly wait.
const OTHERS: [&str; 11] = [
    "bloat",
    "catch-up",
    "drain",
    "event-log",
    "feed",
    "latency",
    "listeners",
    "locked",
    "poison",
    "size",
    "webhook",
];

fn bench(arguments: &[&str]) -> Result<Output> {
    let bench = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["--quick", "--seconds=1", "--rounds=1"])
        .args(arguments)
        .output();
    bench.context("the benchmark cannot be run")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// `false`, with a message, if wrk is missing.
#[expect(clippy::print_stderr, reason = "cargo shows it beside the name of the test")]
fn has_wrk() -> Result<bool> {
    // It prints its usage, with an error status.
    if Command::new("wrk").arg("-v").output().is_ok() {
        return Ok(true);
    }
    let missing = "no wrk: install Debian's package `wrk`";
    ensure!(std::env::var_os("REQUIRE_WRK").is_none(), missing);
    eprintln!("NOT TESTED, {missing}");
    Ok(false)
}

/// Runs these one after the other.
fn have_figures_and_none_is_judged(names: &[&str]) -> Result<()> {
    if !has_wrk()? {
        return Ok(());
    }
    let file = tempfile::NamedTempFile::new()?;
    let json = ["--json", file.path().to_str().context("a path that is no text")?];
    let output = bench(&[names, &json].concat())?;
    ensure!(output.status.success(), "{}", stderr(&output));

    let figures: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(file.path())?)?;
    let scenarios: BTreeSet<_> =
        figures.iter().filter_map(|figure| figure.get("scenario")?.as_str()).collect();
    assert_eq!(scenarios, names.iter().copied().collect());
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    for figure in &figures {
        assert!(
            figure.get("ours").is_some_and(|ours| ours.as_f64().is_some_and(|ours| ours >= 0.0)),
            "{figure}"
        );
        assert_eq!((&figure["target"], &figure["met"]), (&Value::Null, &Value::Null), "{figure}");
        let name = figure["figure"].as_str().context("no name")?;
        assert!(table.contains(name), "{name} is not in {table}");
    }
    Ok(())
}

#[test]
fn every_scenario_under_full_load_has_figures_and_a_quick_run_judges_none() -> Result<()> {
    have_figures_and_none_is_judged(&LOADED)
}

#[test]
fn every_other_scenario_has_figures_and_a_quick_run_judges_none() -> Result<()> {
    have_figures_and_none_is_judged(&OTHERS)
}

#[test]
fn the_scenarios_are_those_of_the_other_tests() -> Result<()> {
    let refusal = stderr(&bench(&["none"])?);
    let (_, names) = refusal.split_once("must be one of ").context(refusal.clone())?;
    let names: BTreeSet<_> = names.lines().take(1).flat_map(|line| line.split(", ")).collect();
    assert_eq!(names, LOADED.into_iter().chain(OTHERS).chain(["all"]).collect());
    Ok(())
}

#[tokio::test]
async fn the_database_of_the_url_is_untouched_and_the_benchmarks_own_is_removed() -> Result<()> {
    if !has_wrk()? {
        return Ok(());
    }
    let database = TestDatabase::create().await?;
    let session = database.connect().await?;
    let insert = "INSERT INTO order_summary
        (order_id, customer_id, total_cents, status, placed_at, item_count, last_item_sku, version)
        VALUES (gen_random_uuid(), 'alice', 1, 'placed', now(), 1, 'SKU', 1)";
    session.execute(insert, &[]).await?;

    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(&file, database.superuser_url())?;
    let path = file.path().to_str().context("a path")?.to_owned();
    let output =
        tokio::task::spawn_blocking(move || bench(&["read", "--database-url-file", &path])).await??;
    ensure!(output.status.success(), "{}", stderr(&output));
    let rows: i64 = session.query_one("SELECT count(*) FROM order_summary", &[]).await?.get(0);
    assert_eq!(rows, 1);
    let left = "SELECT count(*) FROM pg_database WHERE datname LIKE 'orders\\_bench\\_%'";
    assert_eq!(session.query_one(left, &[]).await?.get::<_, i64>(0), 0);
    Ok(())
}
