//! Changes the type of each column that a process may use, so that prepared statements no longer match. The wire format
//! stays the same.

use anyhow::{Context, Result, ensure};
use tokio_postgres::Client;

/// Columns on which a role has a privilege, and their types. An identity column cannot have a domain,
/// and the type of a partition key cannot change.
const COLUMNS: &str = "
    SELECT table_name::text, column_name::text, udt_name::text, format_type(a.atttypid, a.atttypmod)
    FROM information_schema.columns
    JOIN pg_attribute AS a
        ON a.attrelid = format('%I.%I', table_schema, table_name)::regclass AND a.attname = column_name
    WHERE table_schema = 'public' AND is_identity = 'NO'
      AND NOT EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = a.attrelid AND a.attnum = ANY(partattrs))
      AND has_column_privilege($1, a.attrelid, a.attnum, 'SELECT, INSERT, UPDATE')
    ORDER BY table_name, ordinal_position";

/// A change of one column's type.
#[derive(Debug)]
pub struct ColumnChange {
    pub table: String,
    pub statement: String,
}

/// Changes for each column that `role` may read or write, so also for columns added later. `session` is a superuser's.
///
/// # Errors
///
/// PostgreSQL's, or if there is no column.
pub async fn column_changes(session: &Client, role: &str) -> Result<Vec<ColumnChange>> {
    let mut changes = Vec::new();
    for row in session.query(COLUMNS, &[&role]).await? {
        let (table, column, short, full): (String, String, String, String) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        let new_type = match short.as_str() {
            "text" => "varchar(5000)".to_owned(),
            "timestamptz" => "timestamptz(6)".to_owned(),
            _ => domain(session, &short, &full).await?,
        };
        let statement = format!("ALTER TABLE {table} ALTER COLUMN {column} TYPE {new_type}");
        changes.push(ColumnChange { table, statement });
    }
    ensure!(!changes.is_empty(), "{role} has no privilege on any column");
    Ok(changes)
}

/// A domain over the type, created if missing.
async fn domain(session: &Client, short: &str, full: &str) -> Result<String> {
    let name = format!("domain_{short}");
    let exists = session.query_opt("SELECT FROM pg_type WHERE typname = $1", &[&name]).await?;
    if exists.is_none() {
        session.batch_execute(&format!("CREATE DOMAIN {name} AS {full}")).await.context(name.clone())?;
    }
    Ok(name)
}
