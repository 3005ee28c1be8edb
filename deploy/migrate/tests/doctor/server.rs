//! The server, the migrations and the event log.

use std::time::Duration;

use anyhow::{Result, ensure};
use migrate::{Level, doctor};
use testkit::postgres::{PrivateServer, ServerOptions, Tuning, open_to_the_servers_user};
use testkit::wait;
use tokio_postgres::Client;

use crate::cases::{Case, check};
use crate::{found_after, healthy};
use testkit::owned_database::{connect, url_at};

const SERVER_MIGRATIONS_AND_EVENT_LOG: &[Case] = &[
    (
        "ALTER DATABASE orders RESET log_error_verbosity",
        "ALTER DATABASE orders SET log_error_verbosity = terse",
        "server",
        Level::Warning,
        "log_error_verbosity is not terse",
        "ALTER DATABASE orders SET log_error_verbosity = terse",
    ),
    (
        "ALTER DATABASE orders SET log_statement = 'all'",
        "ALTER DATABASE orders RESET log_statement",
        "server",
        Level::Warning,
        "log_statement is all",
        "Set log_statement = ddl",
    ),
    (
        "ALTER DATABASE orders SET log_min_duration_statement = 0",
        "ALTER DATABASE orders RESET log_min_duration_statement",
        "server",
        Level::Warning,
        "log_parameter_max_length is -1",
        "Set log_parameter_max_length = 0",
    ),
    (
        "ALTER DATABASE orders SET default_transaction_isolation = 'serializable'",
        "ALTER DATABASE orders RESET default_transaction_isolation",
        "server",
        Level::Error,
        "default_transaction_isolation is serializable",
        "RESET default_transaction_isolation",
    ),
    (
        "ALTER DATABASE orders SET password_encryption = 'md5'",
        "ALTER DATABASE orders RESET password_encryption",
        "server",
        Level::Warning,
        "password_encryption is md5",
        "scram-sha-256",
    ),
    (
        "DELETE FROM __diesel_schema_migrations WHERE version = '20261127000200'",
        "INSERT INTO __diesel_schema_migrations VALUES ('20261127000200')",
        "migrations",
        Level::Error,
        "1 migrations are pending, from 2026-11-27-000200_revoke_from_public",
        "migrate up",
    ),
    (
        "INSERT INTO __diesel_schema_migrations VALUES ('20991231000000')",
        "DELETE FROM __diesel_schema_migrations WHERE version = '20991231000000'",
        "migrations",
        Level::Warning,
        "does not know the migration 20991231000000",
        "the build that has applied it",
    ),
    (
        "ALTER TABLE outbox DISABLE TRIGGER log_deleted_events",
        "ALTER TABLE outbox ENABLE TRIGGER log_deleted_events",
        "event_log",
        Level::Error,
        "the trigger log_deleted_events",
        "ENABLE TRIGGER",
    ),
    (
        "SELECT; UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'deliveries_of_order'::regclass",
        "UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'deliveries_of_order'::regclass",
        "event_log",
        Level::Warning,
        "the index deliveries_of_order is not finished",
        "migrate up",
    ),
    (
        "ALTER DATABASE orders SET log_statement = 'mod'",
        "ALTER DATABASE orders RESET log_statement",
        "server",
        Level::Warning,
        "log_statement is mod",
        "Set log_statement = ddl",
    ),
    (
        "ALTER DATABASE orders SET log_min_duration_sample = 0",
        "ALTER DATABASE orders RESET log_min_duration_sample",
        "server",
        Level::Warning,
        "log_parameter_max_length is -1",
        "Set log_parameter_max_length = 0",
    ),
    (
        "ALTER DATABASE orders SET log_parameter_max_length_on_error = -1",
        "ALTER DATABASE orders RESET log_parameter_max_length_on_error",
        "server",
        Level::Warning,
        "log_parameter_max_length_on_error is -1",
        "Set log_parameter_max_length_on_error = 0",
    ),
    (
        "ALTER TABLE outbox ENABLE REPLICA TRIGGER log_deleted_events",
        "ALTER TABLE outbox ENABLE TRIGGER log_deleted_events",
        "event_log",
        Level::Error,
        "the trigger log_deleted_events",
        "ENABLE TRIGGER",
    ),
    (
        "ALTER DATABASE orders SET auto_explain.log_min_duration = '100ms'",
        "ALTER DATABASE orders RESET auto_explain.log_min_duration",
        "server",
        Level::Warning,
        "auto_explain.log_min_duration is 100ms",
        "Set auto_explain.log_min_duration = -1",
    ),
    (
        "ALTER DATABASE orders SET pgaudit.log_parameter = on",
        "ALTER DATABASE orders RESET pgaudit.log_parameter",
        "server",
        Level::Warning,
        "pgaudit.log_parameter is on",
        "Set pgaudit.log_parameter = off",
    ),
    (
        "ALTER TABLE deliveries DISABLE TRIGGER ALL",
        "ALTER TABLE deliveries ENABLE TRIGGER ALL",
        "event_log",
        Level::Error,
        "a trigger of deliveries is disabled",
        "ALTER TABLE deliveries ENABLE TRIGGER ALL",
    ),
    (
        "DROP TRIGGER log_deleted_events ON outbox",
        "CREATE TRIGGER log_deleted_events AFTER DELETE ON outbox REFERENCING OLD TABLE AS deleted
         FOR EACH STATEMENT EXECUTE FUNCTION log_deleted_events()",
        "event_log",
        Level::Error,
        "the trigger log_deleted_events of the outbox is missing",
        "CREATE TRIGGER log_deleted_events AFTER DELETE ON outbox REFERENCING OLD TABLE AS deleted",
    ),
];

#[tokio::test]
async fn server_migrations_and_event_log() -> Result<()> {
    check(SERVER_MIGRATIONS_AND_EVENT_LOG).await
}

#[tokio::test]
async fn replication() -> Result<()> {
    let owned = healthy().await?;
    let slot = "SELECT pg_create_physical_replication_slot('away')";
    let report = found_after(&owned, slot, "SELECT pg_drop_replication_slot('away')").await?;
    let found: Vec<_> = report.findings.iter().map(|one| (one.check, one.level)).collect();
    assert_eq!(found, [("server", Level::Warning), ("server", Level::Hint)], "{report}");
    assert!(report.findings[0].remedy.contains("pg_drop_replication_slot('away')"), "{report}");

    // The session has a temporary one in use.
    let slot = "SELECT pg_create_physical_replication_slot('mine', true, true)";
    let report = found_after(&owned, slot, "SELECT pg_drop_replication_slot('mine')").await?;
    let found: Vec<_> = report.findings.iter().map(|one| (one.check, one.level)).collect();
    assert_eq!(found, [("server", Level::Hint)], "only that WAL has no limit: {report}");

    let standby = PrivateServer::start_standby_of(&owned.server)?;
    let url = url_at(&standby);
    wait::until("the migrations at the standby", Duration::from_secs(30), async || {
        let report = doctor(&url).await.map_err(|error| error.to_string())?;
        let errors = report.only_errors();
        let found = errors.findings.iter().map(|one| one.finding.as_str()).collect::<Vec<_>>();
        let expected = ["the server is a standby: nothing can be written or repaired here"];
        if found == expected { Ok(()) } else { Err(errors.to_string()) }
    })
    .await?;
    Ok(())
}

const QUERY: &str = include_str!("../../src/doctor/server.sql");

/// The findings of the query with another limit.
async fn found_with(session: &Client, limit: &str, other: &str) -> Result<Vec<String>> {
    ensure!(QUERY.contains(limit), "the query has no {limit}");
    let rows = session.query(&QUERY.replace(limit, other), &[]).await?;
    Ok(rows.iter().map(|row| row.get("finding")).collect())
}

/// Limits that no server of a test can reach.
#[tokio::test]
async fn an_old_server_and_an_old_prepared_transaction() -> Result<()> {
    let dir = tempfile::tempdir()?;
    open_to_the_servers_user(dir.path())?;
    let options = ServerOptions { tuning: Tuning::Throwaway, data_dir: Some(dir.path().join("data")) };
    let server = PrivateServer::start(&options)?;
    let session = connect(&server.superuser_url("postgres")).await?;
    session.batch_execute("ALTER SYSTEM SET max_prepared_transactions = 1").await?;
    drop((session, server));
    let server = PrivateServer::start(&options)?;
    let session = connect(&server.superuser_url("postgres")).await?;
    session.batch_execute("BEGIN; CREATE TABLE t (); PREPARE TRANSACTION 'left'").await?;

    let old = "the prepared transaction left is older than five minutes: vacuum cannot remove what is newer";
    assert!(!found_with(&session, "5 minutes", "5 minutes").await?.iter().any(|finding| finding == old));
    assert!(found_with(&session, "5 minutes", "0 minutes").await?.iter().any(|finding| finding == old));
    let findings = found_with(&session, "150000", "990000").await?;
    let is_it = |finding: &String| {
        finding.starts_with("the server is PostgreSQL 1") && finding.ends_with("but 15 or later is needed")
    };
    assert!(findings.iter().any(is_it), "{findings:?}");
    assert!(!found_with(&session, "150000", "150000").await?.iter().any(is_it));
    session.batch_execute("ROLLBACK PREPARED 'left'").await?;

    // Servers of tests listen on no address.
    let is_ssl = |finding: &String| finding.starts_with("ssl is off: ");
    for (addresses, is_found) in
        [("*", true), ("localhost, 10.0.0.1", true), ("127.0.0.1,::1", false), ("", false)]
    {
        let found = found_with(&session, "listen.value,", &format!("'{addresses}',")).await?;
        assert_eq!(found.iter().any(is_ssl), is_found, "{addresses}: {found:?}");
    }
    Ok(())
}
