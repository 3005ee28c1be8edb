//! The roles of the projector's scaler: privileges, settings and limits of connections.

use anyhow::Result;
use migrate::Level;

use crate::cases::{Case, check};

const SCALER: &[Case] = &[
    (
        "REVOKE EXECUTE ON FUNCTION oldest_event_seconds() FROM orders_scaling",
        "GRANT EXECUTE ON FUNCTION oldest_event_seconds() TO orders_scaling",
        "grants",
        Level::Error,
        "missing: EXECUTE ON FUNCTION oldest_event_seconds() TO orders_scaling",
        "GRANT EXECUTE ON FUNCTION oldest_event_seconds() TO orders_scaling",
    ),
    (
        "GRANT SELECT ON outbox TO orders_scaling",
        "REVOKE SELECT ON outbox FROM orders_scaling",
        "grants",
        Level::Error,
        "not needed: SELECT ON TABLE outbox TO orders_scaling",
        "REVOKE SELECT ON TABLE outbox FROM orders_scaling",
    ),
    (
        "GRANT SELECT (created_at) ON outbox TO orders_scaler_b",
        "REVOKE SELECT (created_at) ON outbox FROM orders_scaler_b",
        "grants",
        Level::Error,
        "not needed: SELECT (created_at) ON TABLE outbox TO orders_scaler_b",
        "REVOKE SELECT (created_at) ON TABLE outbox FROM orders_scaler_b",
    ),
    (
        "GRANT SELECT ON webhook_secrets TO orders_scaling",
        "REVOKE SELECT ON webhook_secrets FROM orders_scaling",
        "grants",
        Level::Error,
        "not needed: SELECT ON TABLE webhook_secrets TO orders_scaling",
        "REVOKE SELECT ON TABLE webhook_secrets FROM orders_scaling",
    ),
    (
        "CREATE SCHEMA mine; CREATE TABLE mine.model (id int); GRANT SELECT ON mine.model TO orders_scaler",
        "DROP SCHEMA mine CASCADE",
        "grants",
        Level::Warning,
        "orders_scaler has privileges of its own on mine.model",
        "orders_read or orders_scaling",
    ),
    (
        "ALTER DEFAULT PRIVILEGES FOR ROLE orders_owner GRANT SELECT ON TABLES TO orders_scaler_b",
        "ALTER DEFAULT PRIVILEGES FOR ROLE orders_owner REVOKE SELECT ON TABLES FROM orders_scaler_b",
        "grants",
        Level::Warning,
        "orders_scaler_b has privileges on each table that orders_owner makes",
        "REVOKE ALL ON TABLES FROM orders_scaler_b",
    ),
    (
        "GRANT SELECT ON pg_authid TO orders_scaler",
        "REVOKE SELECT ON pg_authid FROM orders_scaler",
        "elsewhere",
        Level::Error,
        "not needed: SELECT ON TABLE pg_authid TO orders_scaler",
        "REVOKE SELECT ON TABLE pg_authid FROM orders_scaler",
    ),
    (
        "GRANT orders_projection TO orders_scaler",
        "REVOKE orders_projection FROM orders_scaler",
        "rights",
        Level::Error,
        "role orders_scaler can do what orders_projection can do",
        "REVOKE orders_projection FROM orders_scaler",
    ),
    (
        "ALTER ROLE orders_scaler NOLOGIN",
        "ALTER ROLE orders_scaler LOGIN",
        "roles",
        Level::Error,
        "role orders_scaler cannot log in",
        "ALTER ROLE orders_scaler LOGIN",
    ),
    (
        "ALTER ROLE orders_scaler_b RESET statement_timeout",
        "ALTER ROLE orders_scaler_b SET statement_timeout = '60s'",
        "settings",
        Level::Warning,
        "role orders_scaler_b does not set statement_timeout",
        "SET statement_timeout = '60s'",
    ),
    (
        "ALTER ROLE orders_scaler RESET default_transaction_read_only",
        "ALTER ROLE orders_scaler SET default_transaction_read_only = on",
        "settings",
        Level::Warning,
        "role orders_scaler does not set default_transaction_read_only",
        "SET default_transaction_read_only = 'on'",
    ),
    (
        "ALTER ROLE orders_scaler CONNECTION LIMIT -1",
        "ALTER ROLE orders_scaler CONNECTION LIMIT 5",
        "connections",
        Level::Warning,
        "role orders_scaler may have any number of connections; its process opens 2",
        "ALTER ROLE orders_scaler CONNECTION LIMIT 5",
    ),
    (
        "ALTER ROLE orders_scaler_b CONNECTION LIMIT 1",
        "ALTER ROLE orders_scaler_b CONNECTION LIMIT 5",
        "connections",
        Level::Warning,
        "role orders_scaler_b may have 1 connections; one process opens 2",
        "ALTER ROLE orders_scaler_b CONNECTION LIMIT 5",
    ),
];

#[tokio::test]
async fn the_scaler() -> Result<()> {
    check(SCALER).await
}
