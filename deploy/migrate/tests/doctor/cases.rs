//! One thing is broken at a time.

use anyhow::{Result, ensure};
use migrate::{Finding, Level};

use crate::{found_after, healthy};

/// What is broken, how it is undone, and what is found: the check, the level, a part of the finding and of the remedy.
type Case = (&'static str, &'static str, &'static str, Level, &'static str, &'static str);

async fn check(cases: &[Case]) -> Result<()> {
    let owned = healthy().await?;
    for (broken, undo, check, level, finding, remedy) in cases {
        let report = found_after(&owned, broken, undo).await?;
        let is_it = |one: &Finding| {
            one.check == *check
                && one.level == *level
                && one.finding.contains(finding)
                && one.remedy.contains(remedy)
        };
        ensure!(report.findings.iter().all(is_it), "{broken}: {report}");
        ensure!(!report.findings.is_empty(), "{broken}: nothing was found");
        ensure!(report.has_errors() == (*level == Level::Error), "{broken}: {report}");
    }
    let left = found_after(&owned, "SELECT", "SELECT").await?;
    assert_eq!(left.findings, [], "each case was undone");
    Ok(())
}

const RIGHTS_AND_ROLES: &[Case] = &[
    (
        "ALTER ROLE orders_projector SUPERUSER",
        "ALTER ROLE orders_projector NOSUPERUSER",
        "rights",
        Level::Error,
        "role orders_projector has SUPERUSER",
        "ALTER ROLE orders_projector NOSUPERUSER",
    ),
    (
        "ALTER ROLE orders_read_api_b BYPASSRLS",
        "ALTER ROLE orders_read_api_b NOBYPASSRLS",
        "rights",
        Level::Error,
        "role orders_read_api_b has BYPASSRLS",
        "ALTER ROLE orders_read_api_b NOBYPASSRLS",
    ),
    (
        "GRANT pg_write_all_data TO orders_read_api",
        "REVOKE pg_write_all_data FROM orders_read_api",
        "rights",
        Level::Error,
        "pg_write_all_data",
        "REVOKE pg_write_all_data FROM orders_read_api",
    ),
    (
        "GRANT orders_write TO orders_read_api",
        "REVOKE orders_write FROM orders_read_api",
        "rights",
        Level::Error,
        "role orders_read_api can do what orders_write can do",
        "REVOKE orders_write FROM orders_read_api",
    ),
    (
        "CREATE ROLE staff; GRANT staff TO orders_write_api",
        "DROP ROLE staff",
        "rights",
        Level::Warning,
        "role orders_write_api is a member of staff",
        "REVOKE staff FROM orders_write_api",
    ),
    (
        "CREATE ROLE staff; GRANT orders_write TO staff",
        "DROP ROLE staff",
        "roles",
        Level::Warning,
        "role staff has the privileges of orders_write",
        "REVOKE orders_write FROM staff",
    ),
    (
        "ALTER TABLE deliveries OWNER TO orders_projector",
        "ALTER TABLE deliveries OWNER TO orders_owner",
        "rights",
        Level::Error,
        "role orders_projector owns TABLE deliveries",
        "ALTER TABLE deliveries OWNER TO",
    ),
    (
        "ALTER TABLE deliveries OWNER TO postgres",
        "ALTER TABLE deliveries OWNER TO orders_owner",
        "roles",
        Level::Error,
        "TABLE deliveries belongs to postgres",
        "ALTER TABLE deliveries OWNER TO orders_owner",
    ),
    (
        "ALTER ROLE orders_write_api NOLOGIN",
        "ALTER ROLE orders_write_api LOGIN",
        "roles",
        Level::Error,
        "role orders_write_api cannot log in",
        "ALTER ROLE orders_write_api LOGIN",
    ),
    (
        "ALTER ROLE orders_owner LOGIN",
        "ALTER ROLE orders_owner NOLOGIN",
        "roles",
        Level::Hint,
        "orders_owner, can log in",
        "NOLOGIN owner",
    ),
    (
        "ALTER ROLE orders_owner SUPERUSER",
        "ALTER ROLE orders_owner NOSUPERUSER",
        "roles",
        Level::Warning,
        "the tables belong to the superuser orders_owner",
        "migrations/README.md",
    ),
    (
        "REVOKE pg_read_all_stats FROM orders_owner",
        "GRANT pg_read_all_stats TO orders_owner",
        "roles",
        Level::Warning,
        "does not see the transactions",
        "GRANT pg_read_all_stats TO orders_owner",
    ),
    (
        "GRANT EXECUTE ON FUNCTION lo_create(oid) TO PUBLIC",
        "REVOKE EXECUTE ON FUNCTION lo_create(oid) FROM PUBLIC",
        "roles",
        Level::Hint,
        "large objects",
        "deploy/migrate/superuser.sql",
    ),
];

#[tokio::test]
async fn rights_and_roles() -> Result<()> {
    check(RIGHTS_AND_ROLES).await
}

const GRANTS_AND_SETTINGS: &[Case] = &[
    (
        "REVOKE UPDATE ON orders FROM orders_write",
        "GRANT UPDATE ON orders TO orders_write",
        "grants",
        Level::Error,
        "missing: UPDATE ON TABLE orders TO orders_write",
        "GRANT UPDATE ON TABLE orders TO orders_write",
    ),
    (
        "GRANT SELECT (payload) ON outbox TO orders_write",
        "REVOKE SELECT (payload) ON outbox FROM orders_write",
        "grants",
        Level::Error,
        "not needed: SELECT (payload) ON TABLE outbox TO orders_write",
        "REVOKE SELECT (payload) ON TABLE outbox FROM orders_write",
    ),
    (
        "GRANT SELECT ON orders TO orders_read_api",
        "REVOKE SELECT ON orders FROM orders_read_api",
        "grants",
        Level::Error,
        "not needed",
        "REVOKE SELECT ON TABLE orders FROM orders_read_api",
    ),
    (
        "GRANT SELECT ON orders TO PUBLIC",
        "REVOKE SELECT ON orders FROM PUBLIC",
        "grants",
        Level::Error,
        "not needed",
        "REVOKE SELECT ON TABLE orders FROM PUBLIC",
    ),
    (
        "GRANT TEMPORARY ON DATABASE orders TO PUBLIC",
        "REVOKE TEMPORARY ON DATABASE orders FROM PUBLIC",
        "grants",
        Level::Error,
        "not needed",
        "REVOKE TEMPORARY ON DATABASE orders FROM PUBLIC",
    ),
    (
        "REVOKE CONNECT ON DATABASE orders FROM orders_read_api_b",
        "GRANT CONNECT ON DATABASE orders TO orders_read_api_b",
        "grants",
        Level::Error,
        "missing",
        "GRANT CONNECT ON DATABASE orders TO orders_read_api_b",
    ),
    (
        "GRANT EXECUTE ON FUNCTION log_deleted_events() TO PUBLIC",
        "REVOKE EXECUTE ON FUNCTION log_deleted_events() FROM PUBLIC",
        "grants",
        Level::Error,
        "not needed",
        "REVOKE EXECUTE ON FUNCTION log_deleted_events() FROM PUBLIC",
    ),
    (
        "CREATE SCHEMA mine; CREATE TABLE mine.model (id int); GRANT SELECT ON mine.model TO orders_projector",
        "DROP SCHEMA mine CASCADE",
        "grants",
        Level::Warning,
        "orders_projector has privileges of its own on mine.model",
        "to its group",
    ),
    (
        "ALTER ROLE orders_read_api RESET default_transaction_read_only",
        "ALTER ROLE orders_read_api SET default_transaction_read_only = on",
        "settings",
        Level::Warning,
        "role orders_read_api does not set default_transaction_read_only",
        "ALTER ROLE orders_read_api SET default_transaction_read_only = 'on'",
    ),
    (
        "ALTER ROLE orders_projector RESET lock_timeout",
        "ALTER ROLE orders_projector SET lock_timeout = '10s'",
        "settings",
        Level::Warning,
        "does not set lock_timeout",
        "SET lock_timeout = '10s'",
    ),
    (
        "ALTER ROLE orders_projector IN DATABASE orders SET search_path = mine",
        "ALTER ROLE orders_projector IN DATABASE orders RESET search_path",
        "settings",
        Level::Error,
        "role orders_projector sets search_path to mine",
        "ALTER ROLE orders_projector IN DATABASE orders RESET search_path",
    ),
    (
        "ALTER DATABASE orders SET search_path = public",
        "ALTER DATABASE orders RESET search_path",
        "settings",
        Level::Error,
        "the database sets search_path",
        "ALTER DATABASE orders RESET search_path",
    ),
];

#[tokio::test]
async fn grants_and_settings() -> Result<()> {
    check(GRANTS_AND_SETTINGS).await
}

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
];

#[tokio::test]
async fn server_migrations_and_event_log() -> Result<()> {
    check(SERVER_MIGRATIONS_AND_EVENT_LOG).await
}
