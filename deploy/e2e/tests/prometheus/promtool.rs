//! What Prometheus' own tool says.

use std::ffi::OsStr;
use std::io::Write;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::metrics::promql_blocks;
use crate::{repository, yaml_files};

/// Runs promtool. Without it nothing is tested, unless `REQUIRE_PROMTOOL` is set.
fn promtool<A: AsRef<OsStr>>(command: [&str; 2], files: impl IntoIterator<Item = A>) -> Result<()> {
    if Command::new("promtool").arg("--version").output().is_err() {
        let missing = "no promtool: install Debian's package `prometheus`";
        ensure!(std::env::var_os("REQUIRE_PROMTOOL").is_none(), missing);
        writeln!(std::io::stderr(), "NOT TESTED, {missing}")?;
        return Ok(());
    }
    let output = Command::new("promtool").args(command).args(files).output()?;
    let said = |bytes| String::from_utf8_lossy(bytes).into_owned();
    ensure!(output.status.success(), "{}{}", said(&output.stdout), said(&output.stderr));
    Ok(())
}

#[test]
fn promtool_accepts_the_rules() -> Result<()> {
    promtool(["check", "rules"], yaml_files("rules")?)
}

#[test]
fn promtool_accepts_the_example_of_a_configuration() -> Result<()> {
    promtool(["check", "config"], [repository("deploy/prometheus/prometheus.yml")])
}

#[test]
fn alerts_fire_and_are_silent_as_their_cases_say() -> Result<()> {
    promtool(["test", "rules"], yaml_files("tests")?)
}

/// Each query becomes a rule: promtool 2 has no command that parses a query alone.
#[test]
fn promtool_accepts_the_queries_of_the_objectives() -> Result<()> {
    let blocks = promql_blocks()?;
    ensure!(blocks.len() >= 5, "only {} queries", blocks.len());
    let rules: Vec<_> = (1..)
        .zip(&blocks)
        .map(|(number, expr)| serde_json::json!({"record": format!("query_{number}"), "expr": expr}))
        .collect();
    let file = tempfile::NamedTempFile::with_suffix(".yml")?;
    // JSON is YAML.
    let groups = serde_json::json!({"groups": [{"name": "objectives", "rules": rules}]});
    std::fs::write(file.path(), groups.to_string())?;
    promtool(["check", "rules"], [file.path()])
}
