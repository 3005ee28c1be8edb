//! The statements of the previous release, frozen as files, on the schema of this build: during a roll-out the old
//! binaries run beside the new ones. `.ci/mixed-versions` checks that the files are those of that release, and runs its
//! binaries.

mod projector;
mod read_api;
mod write_api;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use testkit::test_database::TestDatabase;
use tokio_postgres::{Client, SimpleQueryMessage};

/// A result: the text of each column of each row.
type Rows = Vec<Vec<Option<String>>>;

/// A parameter of a statement: its type, as the previous release declared it, and an SQL expression.
type Parameter<'a> = (&'a str, &'a str);

/// A session of a process of the previous release.
struct Previous {
    service: &'static str,
    session: Client,
}

impl Previous {
    async fn connect(database: &TestDatabase, service: &'static str) -> Result<Self> {
        let role = format!("orders_{}", service.replace('-', "_"));
        Ok(Self { service, session: database.connect_as(&role).await? })
    }

    /// Prepares and runs a statement, as the process does.
    async fn run(&self, name: &str, parameters: &[Parameter<'_>]) -> Result<Rows> {
        let path = folder(self.service).join(name).with_extension("sql");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let list = |part: fn(&Parameter<'_>) -> String| {
            let parts: Vec<_> = parameters.iter().map(part).collect();
            if parts.is_empty() { String::new() } else { format!("({})", parts.join(", ")) }
        };
        let prepare = format!("PREPARE previous {} AS {text}", list(|(sql_type, _)| (*sql_type).to_owned()));
        self.session.batch_execute(&prepare).await.context(prepare)?;
        let execute = format!("EXECUTE previous {}", list(|(_, expression)| (*expression).to_owned()));
        let messages = self.session.simple_query(&execute).await;
        self.session.batch_execute("DEALLOCATE ALL").await?;
        let mut rows = Rows::new();
        for message in messages.with_context(|| format!("{name}: {execute}"))? {
            if let SimpleQueryMessage::Row(row) = message {
                rows.push((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect());
            }
        }
        Ok(rows)
    }

    /// The same for a statement with one row of values that are not NULL.
    async fn run_for_one(&self, name: &str, parameters: &[Parameter<'_>]) -> Result<Vec<String>> {
        let rows = self.run(name, parameters).await?;
        let [row] = rows.as_slice() else { anyhow::bail!("{name} returned {rows:?}") };
        Ok(row.iter().map(|value| value.clone().unwrap_or_default()).collect())
    }
}

fn folder(service: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/previous/statements").join(service)
}

/// An SQL literal.
fn quoted(text: &str) -> String {
    format!("$text${text}$text$")
}

/// A payload that the previous release wrote.
fn payload(kind: &str) -> Result<String> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared-events/tests/golden");
    Ok(std::fs::read_to_string(golden.join(kind).with_extension("v1.json"))?)
}

/// One value.
async fn value(session: &Client, query: &str) -> Result<String> {
    for message in session.simple_query(query).await.with_context(|| query.to_owned())? {
        if let SimpleQueryMessage::Row(row) = message {
            return Ok(row.get(0).unwrap_or("NULL").to_owned());
        }
    }
    anyhow::bail!("{query} returned no row")
}

/// Every statement of the previous release runs in a test.
#[test]
fn every_frozen_statement_is_tested() -> Result<()> {
    for (service, tests) in [
        ("write-api", include_str!("write_api.rs")),
        ("projector", include_str!("projector.rs")),
        ("read-api", include_str!("read_api.rs")),
    ] {
        let files: BTreeSet<_> = std::fs::read_dir(folder(service))?
            .map(|entry| Ok(entry?.path().file_stem().unwrap_or_default().to_string_lossy().into_owned()))
            .collect::<std::io::Result<_>>()?;
        assert!(files.len() >= 4, "{service}: {files:?}");
        let untested: Vec<_> = files.iter().filter(|name| !tests.contains(&format!("\"{name}\""))).collect();
        assert!(untested.is_empty(), "{service}: {untested:?}");
    }
    Ok(())
}
