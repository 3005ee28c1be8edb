//! `migrate doctor`: one thing is broken at a time, and is found with its remedy.

mod cases;
mod citus;
mod cluster;
mod connections;
mod elsewhere;
mod grants_and_settings;
mod loopholes;
mod rights_and_roles;
mod scaler;
mod server;

use std::process::Command;

use anyhow::{Context, Result};
use migrate::{Level, Report, doctor};
use testkit::pgbouncer::PoolMode;
use testkit::test_database::TestDatabase;

use testkit::owned_database::OwnedDatabase;

/// A database as it should be, except for the settings of a server for tests.
async fn healthy() -> Result<OwnedDatabase> {
    let owned = OwnedDatabase::create().await?;
    migrate::up(&owned.url()).await?;
    owned.superuser.batch_execute(include_str!("../../superuser.sql")).await?;
    let found = doctor(&owned.url()).await?;
    let names: Vec<_> = found.findings.iter().map(|one| one.finding.split(' ').next()).collect();
    assert_eq!(names, ["fsync", "full_page_writes", "synchronous_commit"].map(Some), "{found}");
    Ok(owned)
}

/// What is found after `broken`, beyond the settings of a server for tests.
async fn found_after(owned: &OwnedDatabase, broken: &str, undo: &str) -> Result<Report> {
    for statement in broken.split("; ") {
        owned.superuser.batch_execute(statement).await.with_context(|| statement.to_owned())?;
    }
    let mut found = doctor(&owned.url()).await.with_context(|| broken.to_owned())?;
    for statement in undo.split("; ") {
        owned.superuser.batch_execute(statement).await.with_context(|| statement.to_owned())?;
    }
    found.findings.retain(|one| !one.finding.ends_with("a crash can lose acknowledged orders"));
    Ok(found)
}

#[tokio::test]
async fn a_missing_role() -> Result<()> {
    let owned = healthy().await?;
    let rename =
        ("ALTER ROLE orders_write_api_b RENAME TO gone", "ALTER ROLE gone RENAME TO orders_write_api_b");
    let report = found_after(&owned, rename.0, rename.1).await?;
    let found: Vec<_> = report.findings.iter().map(|one| one.finding.as_str()).collect();
    let expected = [
        "role orders_write_api_b does not exist",
        "missing: CONNECT ON DATABASE orders TO orders_write_api_b",
        "role gone has the privileges of orders_write",
    ];
    assert_eq!(found, expected, "{report}");
    assert_eq!(report.findings[0].remedy, "CREATE ROLE orders_write_api_b LOGIN");
    Ok(())
}

/// Rights that a role has through another one are named with it.
#[tokio::test]
async fn rights_by_membership() -> Result<()> {
    let owned = healthy().await?;
    let boss = "CREATE ROLE boss CREATEDB; GRANT boss TO orders_read_api_b";
    let report = found_after(&owned, boss, "DROP ROLE boss").await?;
    let found: Vec<_> =
        report.findings.iter().map(|one| (one.finding.as_str(), one.remedy.as_str())).collect();
    let expected = [
        ("role orders_read_api_b has CREATEDB, as a member of boss", "REVOKE boss FROM orders_read_api_b"),
        (
            "role orders_read_api_b is a member of boss",
            "If it need not be: REVOKE boss FROM orders_read_api_b",
        ),
    ];
    assert_eq!(found, expected, "{report}");

    // Not orders_owner: from PostgreSQL 16 on, it is itself a member of the roles that it has created.
    let member = "CREATE ROLE rich; CREATE TABLE of_rich (); ALTER TABLE of_rich OWNER TO rich;
                  GRANT rich TO orders_projector";
    let report = found_after(&owned, member, "DROP OWNED BY rich; DROP ROLE rich").await?;
    let is_it = |one: &migrate::Finding| one.finding == "role orders_projector can do what rich can do";
    assert!(report.has_errors() && report.findings.iter().any(is_it), "{report}");
    Ok(())
}

/// Who can become the owner may be a member of the groups. Who only inherits from one can use its privileges.
#[tokio::test]
async fn members_of_the_owner_are_exempt_and_those_that_inherit_are_not() -> Result<()> {
    let owned = healthy().await?;
    let (give, take) = ("GRANT orders_write TO orders_migrate", "REVOKE orders_write FROM orders_migrate");
    assert_eq!(found_after(&owned, give, take).await?.findings, []);
    let version =
        owned.superuser.query_one("SELECT current_setting('server_version_num')::integer", &[]).await?;
    if version.get::<_, i32>(0) >= 160_000 {
        let give = "CREATE ROLE staff; GRANT orders_write TO staff WITH INHERIT TRUE, SET FALSE";
        let report = found_after(&owned, give, "DROP ROLE staff").await?;
        let found: Vec<_> = report.findings.iter().map(|one| one.finding.as_str()).collect();
        assert_eq!(found, ["role staff has the privileges of orders_write"]);
    }
    Ok(())
}

#[tokio::test]
async fn partitions_of_the_event_log() -> Result<()> {
    let owned = healthy().await?;
    let partition = "to_char((now() AT TIME ZONE 'UTC')::date + 1, '\"event_log_\"YYYYMMDD')";
    let drop = format!("DO $$ BEGIN EXECUTE 'DROP TABLE ' || {partition}; END $$");
    owned.superuser.batch_execute(&drop).await?;
    let off = "UPDATE event_log_state SET retention_days = 0";
    let report = found_after(&owned, off, "UPDATE event_log_state SET retention_days = 7").await?;
    assert_eq!(report.findings, [], "a log that is off needs no partitions");
    let report = found_after(&owned, "SELECT", "SELECT create_event_log_partitions()").await?;
    let found: Vec<_> = report.findings.iter().map(|one| (one.check, one.level)).collect();
    assert_eq!(found, [("event_log", Level::Error)], "{report}");
    assert!(report.findings[0].finding.contains("has no partition for"), "{report}");

    let expired = "SET ROLE orders_owner; CREATE TABLE event_log_20200101 PARTITION OF event_log
                   FOR VALUES FROM ('2020-01-01') TO ('2020-01-02')";
    let report = found_after(&owned, expired, "DROP TABLE event_log_20200101; RESET ROLE").await?;
    let found = report.findings.iter().any(|one| one.finding.contains("1 partitions that have expired"));
    assert!(found && !report.has_errors(), "{report}");
    assert_eq!(found_after(&owned, "SELECT", "SELECT").await?.findings, []);
    Ok(())
}

#[tokio::test]
async fn another_encoding_and_an_empty_database_are_errors_and_nothing_is_changed() -> Result<()> {
    let owned = OwnedDatabase::create().await?;
    let report = doctor(&owned.url()).await?;
    let errors: Vec<_> = report.findings.iter().filter(|one| one.level == Level::Error).collect();
    assert!(errors.len() == 1 && errors[0].finding.contains("migrations are pending"), "{report}");
    let tables = owned.superuser.query("SELECT FROM pg_tables WHERE schemaname = 'public'", &[]).await?;
    assert_eq!(tables.len(), 0, "not even the history");

    let latin = "CREATE DATABASE latin OWNER orders_owner ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0";
    owned.superuser.batch_execute(latin).await?;
    let report = doctor(&owned.url().replace("/orders?", "/latin?")).await?;
    assert!(
        report.findings.iter().any(|one| one.check == "server" && one.finding.contains("LATIN1")),
        "{report}"
    );
    Ok(())
}

#[tokio::test]
async fn a_pooler_that_loses_settings_is_found() -> Result<()> {
    let database = TestDatabase::create().await?;
    for (_pooler, url) in database.behind_pgbouncer("postgres", PoolMode::Transaction)? {
        let report = doctor(&url).await?;
        let found =
            report.findings.iter().any(|one| one.check == "pooler" && one.remedy.contains("session mode"));
        assert!(found && report.has_errors(), "{report}");
    }
    Ok(())
}

#[tokio::test]
async fn the_command_prints_the_findings_and_its_exit_status_says_whether_one_is_an_error() -> Result<()> {
    let owned = healthy().await?;
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_migrate")).args(arguments).env("DATABASE_URL", owned.url()).output()
    };
    let output = run(&["doctor"])?;
    let text = String::from_utf8(output.stdout)?;
    assert!(output.status.success() && text.contains("remedy: Set fsync = on."), "{text}");
    assert!(text.ends_with("errors: 0, warnings: 3, hints: 0\n"), "{text}");

    owned.superuser.batch_execute("ALTER ROLE orders_read_api CREATEDB").await?;
    let output = run(&["doctor", "--json"])?;
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let first = serde_json::json!({
        "check": "rights",
        "level": "error",
        "finding": "role orders_read_api has CREATEDB",
        "remedy": "ALTER ROLE orders_read_api NOCREATEDB",
    });
    assert_eq!(report["findings"][0], first, "{report}");
    Ok(())
}

#[tokio::test]
async fn nothing_but_the_findings_is_on_standard_output() -> Result<()> {
    let database = TestDatabase::create().await?;
    let run = |url: &str, level: &str| {
        let vars = [("DATABASE_URL", url), ("RUST_LOG", level)];
        Command::new(env!("CARGO_BIN_EXE_migrate")).args(["doctor", "--json"]).env_clear().envs(vars).output()
    };
    let output = run(&database.superuser_url(), "trace")?;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert!(report["findings"].is_array(), "{report}");

    let missing = database.superuser_url().replace("/test_", "/missing_");
    let output = run(&missing, "info")?;
    let said = String::from_utf8(output.stderr)?;
    assert_eq!((output.status.code(), output.stdout), (Some(1), vec![]), "{said}");
    assert!(
        said.starts_with("Error: cannot connect to the database: ") && said.lines().count() == 1,
        "{said}"
    );
    Ok(())
}
