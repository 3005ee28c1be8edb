//! What a role could pass on to others, and what is set for a role and breaks what the processes rely on.

use anyhow::Result;
use migrate::Level;

use crate::cases::{Case, check};

const PASSED_ON: &[Case] = &[
    (
        "GRANT SELECT ON orders TO orders_write WITH GRANT OPTION",
        "REVOKE GRANT OPTION FOR SELECT ON orders FROM orders_write",
        "grants",
        Level::Error,
        "can be passed on: SELECT ON TABLE orders TO orders_write",
        "REVOKE GRANT OPTION FOR SELECT ON TABLE orders FROM orders_write",
    ),
    (
        "GRANT SELECT (id) ON outbox TO orders_write WITH GRANT OPTION",
        "REVOKE GRANT OPTION FOR SELECT (id) ON outbox FROM orders_write",
        "grants",
        Level::Error,
        "can be passed on: SELECT (id) ON TABLE outbox TO orders_write",
        "REVOKE GRANT OPTION FOR SELECT (id) ON TABLE outbox FROM orders_write",
    ),
    (
        "GRANT orders_projection TO orders_projector WITH ADMIN OPTION",
        "REVOKE ADMIN OPTION FOR orders_projection FROM orders_projector",
        "rights",
        Level::Error,
        "role orders_projector can make other roles members of orders_projection",
        "REVOKE ADMIN OPTION FOR orders_projection FROM orders_projector",
    ),
    (
        "CREATE ROLE staff NOINHERIT; GRANT orders_projector TO staff",
        "DROP ROLE staff",
        "roles",
        Level::Warning,
        "role staff has the privileges of orders_projector",
        "REVOKE orders_projector FROM staff",
    ),
    (
        "CREATE ROLE staff; GRANT SELECT (secret) ON webhook_secrets TO staff",
        "REVOKE ALL ON webhook_secrets FROM staff; DROP ROLE staff",
        "grants",
        Level::Error,
        "role staff can use webhook_secrets, which only the projector may",
        "REVOKE ALL ON webhook_secrets FROM staff",
    ),
    (
        "ALTER DEFAULT PRIVILEGES FOR ROLE orders_owner GRANT SELECT ON TABLES TO orders_read",
        "ALTER DEFAULT PRIVILEGES FOR ROLE orders_owner REVOKE SELECT ON TABLES FROM orders_read",
        "grants",
        Level::Warning,
        "orders_read has privileges on each table that orders_owner makes",
        "ALTER DEFAULT PRIVILEGES FOR ROLE orders_owner REVOKE ALL ON TABLES FROM orders_read",
    ),
];

#[tokio::test]
async fn what_a_role_could_pass_on() -> Result<()> {
    check(PASSED_ON).await
}

const BROKEN: &[Case] = &[
    (
        "ALTER TABLE orders ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE orders DISABLE ROW LEVEL SECURITY",
        "grants",
        Level::Error,
        "row security is enabled for orders",
        "ALTER TABLE orders DISABLE ROW LEVEL SECURITY",
    ),
    (
        "ALTER ROLE orders_write_api CONNECTION LIMIT 0",
        "ALTER ROLE orders_write_api CONNECTION LIMIT -1",
        "connections",
        Level::Error,
        "role orders_write_api may have 0 connections",
        "ALTER ROLE orders_write_api CONNECTION LIMIT -1",
    ),
    (
        "ALTER ROLE orders_write_api VALID UNTIL '2020-01-01'",
        "ALTER ROLE orders_write_api VALID UNTIL 'infinity'",
        "roles",
        Level::Warning,
        "the password of role orders_write_api has expired",
        "ALTER ROLE orders_write_api VALID UNTIL 'infinity'",
    ),
    (
        "ALTER ROLE orders_projector SET statement_timeout = 0",
        "ALTER ROLE orders_projector SET statement_timeout = '60s'",
        "settings",
        Level::Warning,
        "role orders_projector does not set statement_timeout",
        "ALTER ROLE orders_projector SET statement_timeout = '60s'",
    ),
    (
        "ALTER ROLE orders_write_api SET synchronous_commit = off",
        "ALTER ROLE orders_write_api RESET synchronous_commit",
        "settings",
        Level::Warning,
        "role orders_write_api sets synchronous_commit to off: orders are acknowledged before",
        "ALTER ROLE orders_write_api RESET synchronous_commit",
    ),
    (
        "ALTER ROLE orders_projector IN DATABASE orders SET default_transaction_isolation = 'serializable'",
        "ALTER ROLE orders_projector IN DATABASE orders RESET default_transaction_isolation",
        "settings",
        Level::Error,
        "role orders_projector sets default_transaction_isolation to serializable",
        "ALTER ROLE orders_projector IN DATABASE orders RESET default_transaction_isolation",
    ),
    (
        "ALTER ROLE orders_write_api_b SET default_transaction_read_only = on",
        "ALTER ROLE orders_write_api_b RESET default_transaction_read_only",
        "settings",
        Level::Error,
        "role orders_write_api_b sets default_transaction_read_only to on: its process has to write",
        "ALTER ROLE orders_write_api_b RESET default_transaction_read_only",
    ),
    (
        "ALTER ROLE orders_write_api SET log_error_verbosity = verbose",
        "ALTER ROLE orders_write_api RESET log_error_verbosity",
        "settings",
        Level::Warning,
        "role orders_write_api sets log_error_verbosity to verbose",
        "ALTER ROLE orders_write_api RESET log_error_verbosity",
    ),
    (
        "ALTER ROLE orders_read_api SET log_statement = 'all'",
        "ALTER ROLE orders_read_api RESET log_statement",
        "settings",
        Level::Warning,
        "role orders_read_api sets log_statement to all",
        "ALTER ROLE orders_read_api RESET log_statement",
    ),
    (
        "ALTER ROLE orders_write_api SET log_parameter_max_length_on_error = 100",
        "ALTER ROLE orders_write_api RESET log_parameter_max_length_on_error",
        "settings",
        Level::Warning,
        "role orders_write_api sets log_parameter_max_length_on_error to 100",
        "RESET log_parameter_max_length_on_error",
    ),
    (
        "ALTER ROLE orders_write_api SET auto_explain.log_min_duration = 0",
        "ALTER ROLE orders_write_api RESET auto_explain.log_min_duration",
        "settings",
        Level::Warning,
        "role orders_write_api sets auto_explain.log_min_duration to 0",
        "ALTER ROLE orders_write_api RESET",
    ),
    (
        "ALTER ROLE orders_write_api SET pgaudit.log_parameter = on",
        "ALTER ROLE orders_write_api RESET pgaudit.log_parameter",
        "settings",
        Level::Warning,
        "role orders_write_api sets pgaudit.log_parameter to on",
        "ALTER ROLE orders_write_api RESET",
    ),
];

#[tokio::test]
async fn what_is_set_and_breaks_the_processes() -> Result<()> {
    check(BROKEN).await
}
