//! What the tests of cells share.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use migrate::{Cell, MIGRATIONS};
use serde_json::Value;
use testkit::test_database::TestDatabase;

/// What a run of the program left.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) lines: Vec<Value>,
    /// On standard error.
    pub(crate) error: String,
}

impl Ran {
    /// The cells of the lines with this message, in order.
    pub(crate) fn cells(&self, message: &str) -> Vec<&str> {
        let lines = self.lines.iter().filter(|line| line["message"] == message);
        lines.filter_map(|line| line["cell"].as_str()).collect()
    }

    /// Why it failed.
    pub(crate) fn reason(&self) -> &str {
        self.lines.iter().rev().find_map(|line| line["error"].as_str()).unwrap_or(&self.error)
    }
}

/// Runs the program.
pub(crate) async fn run(url: &str, arguments: &[&str]) -> Result<Ran> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_migrate"));
    command.args(arguments).env_clear().env("DATABASE_URL", url).env("LOG_FORMAT", "json");
    let output = tokio::process::Command::from(command).kill_on_drop(true).output().await?;
    let log = String::from_utf8(output.stdout)?;
    let lines = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    Ok(Ran { code: output.status.code(), lines, error: String::from_utf8(output.stderr)? })
}

/// A database with these cells, and none in `public`.
pub(crate) async fn database_with(schemas: &[&str]) -> Result<TestDatabase> {
    let database = TestDatabase::create_empty().await?;
    for schema in schemas {
        Cell::new(schema)?.up(&database.superuser_url()).await.context((*schema).to_owned())?;
    }
    Ok(database)
}

/// The schema with its grants, from `pg_dump`.
pub(crate) fn dump_of(database: &TestDatabase, schema: &str) -> Result<String> {
    let mut dump = database.program("pg_dump");
    let dump = dump.args(["--schema-only", "--schema", schema]).output().context("pg_dump")?;
    ensure!(dump.status.success(), "pg_dump: {}", String::from_utf8_lossy(&dump.stderr));
    let text = String::from_utf8(dump.stdout)?;
    // Newer versions of pg_dump print a random token.
    Ok(text.lines().filter(|line| !line.contains("restrict ")).collect::<Vec<_>>().join("\n"))
}

/// How many migrations there are from this one on.
pub(crate) fn steps_from(name: &str) -> Result<usize> {
    let known: Vec<Box<dyn Migration<Pg>>> =
        MIGRATIONS.migrations().map_err(|error| anyhow::anyhow!("{error}"))?;
    let steps = known.iter().filter(|one| one.name().to_string().as_str() >= name).count();
    ensure!(steps > 0, "there is no migration from {name} on");
    Ok(steps)
}

/// Which of these cells have pending migrations.
pub(crate) async fn behind(url: &str, cells: &[&str]) -> Result<Vec<String>> {
    let mut behind = Vec::new();
    for cell in cells {
        if !Cell::new(cell)?.pending(url).await?.is_empty() {
            behind.push((*cell).to_owned());
        }
    }
    Ok(behind)
}
