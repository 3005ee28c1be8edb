//! Privileges, and what is set for roles and for the database.

use anyhow::Result;
use migrate::Level;

use crate::cases::{Case, check};

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
    (
        "REVOKE SELECT ON SEQUENCE outbox_id_seq FROM orders_projection",
        "GRANT SELECT ON SEQUENCE outbox_id_seq TO orders_projection",
        "grants",
        Level::Error,
        "missing: SELECT ON SEQUENCE outbox_id_seq TO orders_projection",
        "GRANT SELECT ON SEQUENCE outbox_id_seq TO orders_projection",
    ),
    (
        "GRANT USAGE ON SEQUENCE outbox_id_seq TO orders_read",
        "REVOKE USAGE ON SEQUENCE outbox_id_seq FROM orders_read",
        "grants",
        Level::Error,
        "not needed: USAGE ON SEQUENCE outbox_id_seq TO orders_read",
        "REVOKE USAGE ON SEQUENCE outbox_id_seq FROM orders_read",
    ),
    (
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        "grants",
        Level::Error,
        "not needed: CREATE ON SCHEMA public TO PUBLIC",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    ),
    (
        "ALTER ROLE orders_read_api SET default_transaction_read_only = off",
        "ALTER ROLE orders_read_api SET default_transaction_read_only = on",
        "settings",
        Level::Warning,
        "role orders_read_api does not set default_transaction_read_only",
        "SET default_transaction_read_only = 'on'",
    ),
    (
        "ALTER ROLE orders_write_api RESET statement_timeout",
        "ALTER ROLE orders_write_api SET statement_timeout = '60s'",
        "settings",
        Level::Warning,
        "role orders_write_api does not set statement_timeout",
        "SET statement_timeout = '60s'",
    ),
    (
        "ALTER ROLE orders_write_api_b RESET idle_in_transaction_session_timeout",
        "ALTER ROLE orders_write_api_b SET idle_in_transaction_session_timeout = '60s'",
        "settings",
        Level::Warning,
        "role orders_write_api_b does not set idle_in_transaction_session_timeout",
        "SET idle_in_transaction_session_timeout = '60s'",
    ),
    (
        "ALTER ROLE orders_read_api SET role = orders_read",
        "ALTER ROLE orders_read_api RESET role",
        "settings",
        Level::Error,
        "role orders_read_api sets role to orders_read",
        "ALTER ROLE orders_read_api RESET role",
    ),
];

#[tokio::test]
async fn grants_and_settings() -> Result<()> {
    check(GRANTS_AND_SETTINGS).await
}
