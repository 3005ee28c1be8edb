//! Limits of connections, and how the sessions of the migrator end.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use migrate::Cell;
use testkit::owned_database::OwnedDatabase;
use testkit::wait;

use crate::{found_after, healthy};

const README: &str = include_str!("../../../README.md");

/// The number that deploy/README.md names after this text.
fn documented(text: &str) -> Result<i32> {
    let text_on_one_line = README.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, rest) = text_on_one_line.split_once(text).with_context(|| format!("no {text}"))?;
    let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Ok(number.parse()?)
}

/// Finds this limit if it is one lower than what is needed, and not if it is just enough.
async fn check(owned: &OwnedDatabase, target: &str, needed: i32) -> Result<()> {
    let undo = format!("ALTER {target} CONNECTION LIMIT -1");
    let enough = found_after(owned, &format!("ALTER {target} CONNECTION LIMIT {needed}"), &undo).await?;
    assert_eq!(enough.findings, [], "{target}: {needed} are enough");
    let too_few = format!("ALTER {target} CONNECTION LIMIT {}", needed - 1);
    let report = found_after(owned, &too_few, &undo).await?;
    let [found] = report.findings.as_slice() else { anyhow::bail!("{target}: {report}") };
    assert_eq!((found.check, found.remedy.as_str()), ("connections", undo.as_str()), "{report}");
    ensure!(!report.has_errors() && found.finding.contains(&format!(" {needed} ")), "{report}");
    Ok(())
}

#[tokio::test]
async fn limits_below_what_the_processes_open() -> Result<()> {
    let owned = healthy().await?;
    let kinds = [
        ("write_api", "8 + 1 + 1 = "),
        ("read_api", "8 + 2 × 2 + 4 + 1 = "),
        ("projector", "8 + 2 + 5 + 2 + 1 = "),
    ];
    for (kind, sum) in kinds {
        for login in [format!("orders_{kind}"), format!("orders_{kind}_b")] {
            check(&owned, &format!("ROLE {login}"), documented(sum)?).await?;
        }
    }
    check(&owned, "DATABASE orders", documented("One process of each needs ")?).await?;
    // Only superusers can connect then.
    owned.superuser.batch_execute("ALTER DATABASE orders CONNECTION LIMIT 0").await?;
    let report = migrate::doctor(&owned.server.superuser_url("orders")).await?.only_errors();
    ensure!(report.findings.iter().any(|one| one.check == "connections"), "{report}");
    Ok(())
}

/// All cells share the roles: three have six scalers, and a scaler may have five connections.
#[tokio::test]
async fn limits_below_what_the_processes_of_all_cells_open() -> Result<()> {
    let owned = healthy().await?;
    for schema in ["cell_01", "cell_02"] {
        Cell::new(schema)?.up(&owned.url()).await?;
    }
    let report = migrate::doctor(&owned.url()).await?;
    let limits = report.findings.iter().filter(|one| one.check == "connections");
    let limits: Vec<_> = limits.map(|one| (one.finding.as_str(), one.remedy.as_str())).collect();
    let expected = ["orders_scaler", "orders_scaler_b"].map(|role| {
        let opens = "one process in each of 3 cells opens 6 with the default settings";
        (
            format!("role {role} may have 5 connections; {opens}"),
            format!("ALTER ROLE {role} CONNECTION LIMIT 6"),
        )
    });
    assert_eq!(limits, expected.each_ref().map(|(finding, remedy)| (finding.as_str(), remedy.as_str())));
    for (_, remedy) in &expected {
        owned.superuser.batch_execute(remedy).await?;
    }
    let report = found_after(
        &owned,
        "ALTER DATABASE orders CONNECTION LIMIT 134",
        "ALTER DATABASE orders CONNECTION LIMIT -1",
    );
    let report = report.await?.to_string();
    ensure!(report.contains("one process of each kind in each of 3 cells opens 135 in all"), "{report}");
    Ok(())
}

#[tokio::test]
async fn no_session_ends_within_a_transaction() -> Result<()> {
    let owned = healthy().await?;
    for command in ["doctor", "status", "up"] {
        let mut migrate = Command::new(env!("CARGO_BIN_EXE_migrate"));
        let output = migrate.arg(command).env("DATABASE_URL", owned.url()).output()?;
        ensure!(output.status.success(), "{command}: {output:?}");
    }
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'migrate'";
    wait::until("the end of the sessions", Duration::from_secs(30), async || {
        match owned.superuser.query_one(sessions, &[]).await.map(|row| row.get::<_, i64>(0)) {
            Ok(0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    let log = std::fs::read_to_string(owned.server.log())?;
    ensure!(!log.is_empty() && !log.contains("unexpected EOF"), "{log}");
    Ok(())
}
