//! One cell is saved and restored.

use std::io::Write;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use migrate::Cell;
use testkit::test_database::TestDatabase;

use crate::support::database_with;

/// Restores the cell into another database.
fn copy(from: &TestDatabase, to: &TestDatabase, cell: &str) -> Result<()> {
    let dump = from.program("pg_dump").args(["--schema", cell]).output().context("pg_dump")?;
    ensure!(dump.status.success(), "pg_dump: {}", String::from_utf8_lossy(&dump.stderr));
    let mut psql = to.program("psql");
    psql.args(["-v", "ON_ERROR_STOP=1", "-q"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut psql = psql.spawn().context("psql")?;
    psql.stdin.take().context("no standard input")?.write_all(&dump.stdout)?;
    ensure!(psql.wait()?.success(), "the dump cannot be restored");
    Ok(())
}

#[tokio::test]
async fn a_restored_cell_lacks_only_the_rights_on_its_database() -> Result<()> {
    let (database, other) =
        (database_with(&["cell_01", "cell_02"]).await?, TestDatabase::create_empty().await?);
    let session = database.connect().await?;
    session.batch_execute("INSERT INTO cell_01.outbox (kind, payload) VALUES ('k', '{}')").await?;
    copy(&database, &other, "cell_01")?;

    let (cell, url) = (Cell::new("cell_01")?, other.superuser_url());
    assert_eq!(Cell::all(&url).await?, std::slice::from_ref(&cell));
    assert_eq!(cell.up(&url).await?, [], "nothing to apply");
    let session = other.connect().await?;
    for one in cell.doctor(&url).await?.only_errors().findings {
        ensure!(one.finding.contains(" ON DATABASE "), "{one:?}");
        session.batch_execute(&one.remedy).await.with_context(|| one.remedy.clone())?;
    }
    let report = cell.doctor(&url).await?;
    ensure!(!report.has_errors(), "{report}");
    let events: i64 = session.query_one("SELECT count(*) FROM cell_01.outbox", &[]).await?.get(0);
    assert_eq!(events, 1);
    Ok(())
}
