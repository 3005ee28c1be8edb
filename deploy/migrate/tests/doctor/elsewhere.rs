//! What a role may use outside the schema, what was added to a table, and settings that switch triggers off.

use anyhow::Result;
use migrate::Level;

use crate::cases::{Case, check};

const OF_THE_SERVER: &[Case] = &[
    (
        "GRANT SELECT ON pg_authid TO orders_read",
        "REVOKE SELECT ON pg_authid FROM orders_read",
        "elsewhere",
        Level::Error,
        "not needed: SELECT ON TABLE pg_authid TO orders_read",
        "REVOKE SELECT ON TABLE pg_authid FROM orders_read",
    ),
    (
        "GRANT SELECT (rolpassword) ON pg_authid TO orders_read_api",
        "REVOKE SELECT (rolpassword) ON pg_authid FROM orders_read_api",
        "elsewhere",
        Level::Error,
        "not needed: SELECT (rolpassword) ON TABLE pg_authid TO orders_read_api",
        "REVOKE SELECT (rolpassword) ON TABLE pg_authid FROM orders_read_api",
    ),
    (
        "GRANT EXECUTE ON FUNCTION pg_read_file(text) TO PUBLIC",
        "REVOKE EXECUTE ON FUNCTION pg_read_file(text) FROM PUBLIC",
        "elsewhere",
        Level::Error,
        "not needed: EXECUTE ON FUNCTION pg_read_file(text) TO PUBLIC",
        "REVOKE EXECUTE ON FUNCTION pg_read_file(text) FROM PUBLIC",
    ),
    (
        "GRANT SET ON PARAMETER session_replication_role TO orders_projector",
        "REVOKE SET ON PARAMETER session_replication_role FROM orders_projector",
        "elsewhere",
        Level::Error,
        "not needed: SET ON PARAMETER session_replication_role TO orders_projector",
        "REVOKE SET ON PARAMETER session_replication_role FROM orders_projector",
    ),
    (
        "GRANT CREATE ON TABLESPACE pg_default TO orders_write",
        "REVOKE CREATE ON TABLESPACE pg_default FROM orders_write",
        "elsewhere",
        Level::Error,
        "not needed: CREATE ON TABLESPACE pg_default TO orders_write",
        "REVOKE CREATE ON TABLESPACE pg_default FROM orders_write",
    ),
    (
        "SELECT lo_create(4711); GRANT SELECT ON LARGE OBJECT 4711 TO PUBLIC",
        "SELECT lo_unlink(4711)",
        "elsewhere",
        Level::Error,
        "not needed: SELECT ON LARGE OBJECT 4711 TO PUBLIC",
        "REVOKE SELECT ON LARGE OBJECT 4711 FROM PUBLIC",
    ),
    (
        "CREATE SCHEMA shop; GRANT CREATE ON SCHEMA shop TO PUBLIC",
        "DROP SCHEMA shop",
        "elsewhere",
        Level::Warning,
        "PUBLIC may make objects in the schema shop",
        "REVOKE CREATE ON SCHEMA shop FROM PUBLIC",
    ),
];

#[tokio::test]
async fn what_a_role_may_use_outside_the_schema() -> Result<()> {
    check(OF_THE_SERVER).await
}

const SILENT: &[Case] = &[
    (
        "CREATE RULE twice AS ON INSERT TO orders DO ALSO NOTHING",
        "DROP RULE twice ON orders",
        "elsewhere",
        Level::Error,
        "the rule twice of orders changes what statements of the processes do",
        "DROP RULE twice ON orders",
    ),
    (
        "ALTER ROLE orders_projector SET session_replication_role = replica",
        "ALTER ROLE orders_projector RESET session_replication_role",
        "settings",
        Level::Error,
        "role orders_projector sets session_replication_role to replica: its triggers do not run, so nothing is",
        "ALTER ROLE orders_projector RESET session_replication_role",
    ),
    (
        "ALTER DATABASE orders SET session_replication_role = replica",
        "ALTER DATABASE orders RESET session_replication_role",
        "server",
        Level::Error,
        "session_replication_role is replica: triggers do not run, so nothing is projected",
        "RESET session_replication_role",
    ),
    (
        "ALTER ROLE orders_write_api SET log_min_duration_statement = 0",
        "ALTER ROLE orders_write_api RESET log_min_duration_statement",
        "settings",
        Level::Warning,
        "role orders_write_api sets log_min_duration_statement to 0: the server logs what its statements contain",
        "ALTER ROLE orders_write_api RESET log_min_duration_statement",
    ),
    (
        "ALTER ROLE orders_write_api SET log_transaction_sample_rate = 0.1",
        "ALTER ROLE orders_write_api RESET log_transaction_sample_rate",
        "settings",
        Level::Warning,
        "role orders_write_api sets log_transaction_sample_rate to 0.1",
        "ALTER ROLE orders_write_api RESET log_transaction_sample_rate",
    ),
    (
        "ALTER DATABASE orders SET log_transaction_sample_rate = 0.1",
        "ALTER DATABASE orders RESET log_transaction_sample_rate",
        "server",
        Level::Warning,
        "log_parameter_max_length is -1: the server logs what the statements contain",
        "Set log_parameter_max_length = 0",
    ),
];

#[tokio::test]
async fn what_changes_the_processes_without_a_word() -> Result<()> {
    check(SILENT).await
}
