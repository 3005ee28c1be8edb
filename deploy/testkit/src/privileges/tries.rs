//! Statements that need one privilege each, and change nothing.

use anyhow::{Context, Result};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

/// What became of a statement.
#[derive(Debug)]
pub(super) struct Tried {
    pub(super) kind: &'static str,
    pub(super) name: String,
    /// The table of a column: a privilege on it counts too.
    pub(super) table: Option<String>,
    /// One of these privileges is enough.
    pub(super) by: &'static [&'static str],
    /// It also needs `USAGE` of the schema.
    pub(super) is_in_schema: bool,
    pub(super) is_allowed: bool,
}

/// Tries everything as the role of `session`. `superuser` reads the catalog.
pub(super) async fn all(superuser: &Client, session: &Client, schema: &str) -> Result<Vec<Tried>> {
    let mut statements = of_database(schema);
    statements.extend(of_columns(superuser, schema).await?);
    statements.extend(of_sequences_and_functions(superuser, schema).await?);
    let mut tried = Vec::new();
    for (mut what, statement) in statements {
        what.is_allowed = is_allowed(session, &what, &statement).await.with_context(|| statement.clone())?;
        tried.push(what);
    }
    Ok(tried)
}

type Statement = (Tried, String);

fn statement(kind: &'static str, name: &str, by: &'static [&'static str], statement: String) -> Statement {
    let is_in_schema = !matches!(kind, "database" | "server");
    (Tried { kind, name: name.to_owned(), table: None, by, is_in_schema, is_allowed: false }, statement)
}

fn of_database(schema: &str) -> Vec<Statement> {
    let server = |name, text: &str| statement("server", name, &["EXECUTE"], text.to_owned());
    vec![
        statement("database", "", &["CREATE"], "CREATE SCHEMA mine".to_owned()),
        statement("database", "", &["TEMPORARY"], "CREATE TEMPORARY TABLE mine (id int)".to_owned()),
        statement("schema", schema, &["CREATE"], format!("CREATE TABLE {schema}.mine (id int)")),
        server("large objects", "SELECT lo_create(0)"),
        server("large objects", "SELECT lo_creat(-1)"),
        server("large objects", "SELECT lo_from_bytea(0, 'a')"),
        server("messages in the WAL", "SELECT pg_logical_emit_message(true, 'a', 'a')"),
        server("advisory locks", "SELECT pg_advisory_xact_lock(1)"),
        server("advisory locks", "SELECT pg_try_advisory_lock(1, 1)"),
    ]
}

async fn of_columns(superuser: &Client, schema: &str) -> Result<Vec<Statement>> {
    let columns = "SELECT relname::text, attname::text, attnum = 1, relkind = 'v'
                   FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
                       JOIN pg_namespace ON pg_namespace.oid = relnamespace
                   WHERE nspname = $1 AND relkind IN ('r', 'p', 'v') AND attnum > 0 AND NOT attisdropped";
    let mut statements = Vec::new();
    for row in superuser.query(columns, &[&schema]).await? {
        let (name, column, is_first, is_view): (&str, &str, bool, bool) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        let table = format!("{schema}.{name}");
        if is_first {
            let lookup = format!("SELECT '{table}'::regclass");
            statements.push(statement("schema", schema, &["USAGE"], lookup));
            let delete = format!("DELETE FROM {table} WHERE false");
            statements.push(statement("table", name, &["DELETE"], delete));
            if !is_view {
                statements.push(statement("table", name, &["TRUNCATE"], format!("TRUNCATE {table}")));
            }
        }
        let select = format!("SELECT {column} FROM {table} LIMIT 0");
        let insert =
            format!("INSERT INTO {table} ({column}) OVERRIDING SYSTEM VALUE SELECT NULL WHERE false");
        let update = format!("UPDATE {table} SET {column} = DEFAULT WHERE false");
        let verbs: [(&'static [_], _); 3] =
            [(&["SELECT"], select), (&["INSERT"], insert), (&["UPDATE"], update)];
        for (by, text) in verbs {
            let (what, text) = statement("column", &format!("{name}.{column}"), by, text);
            statements.push((Tried { table: Some(name.to_owned()), ..what }, text));
        }
    }
    Ok(statements)
}

async fn of_sequences_and_functions(superuser: &Client, schema: &str) -> Result<Vec<Statement>> {
    let sequences = "SELECT relname::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
                     WHERE nspname = $1 AND relkind = 'S'";
    let mut statements = Vec::new();
    for row in superuser.query(sequences, &[&schema]).await? {
        let name: &str = row.get(0);
        let sequence = format!("{schema}.{name}");
        let next = format!("SELECT nextval('{sequence}')");
        let last = format!("SELECT last_value FROM {sequence}");
        statements.push(statement("sequence", name, &["SELECT"], last));
        statements.push(statement("sequence", name, &["USAGE", "UPDATE"], next));
        statements.push(statement("sequence", name, &["UPDATE"], format!("SELECT setval('{sequence}', 1)")));
    }
    let functions = "SELECT proname::text, replace(oidvectortypes(proargtypes), ', ', ','), pronargs::int
         FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace WHERE nspname = $1";
    for row in superuser.query(functions, &[&schema]).await? {
        let (name, types, arguments): (&str, &str, i32) = (row.get(0), row.get(1), row.get(2));
        let nulls: Vec<_> = (0..arguments).map(|_| "NULL").collect();
        let call = format!("SELECT {schema}.{name}({})", nulls.join(", "));
        statements.push(statement("function", &format!("{name}({types})"), &["EXECUTE"], call));
    }
    Ok(statements)
}

async fn is_allowed(session: &Client, what: &Tried, statement: &str) -> Result<bool> {
    // The role of a read service is read-only by default, which a session can change.
    session.batch_execute("BEGIN READ WRITE").await?;
    let error = session.batch_execute(statement).await.err();
    session.batch_execute("ROLLBACK; SELECT pg_advisory_unlock_all()").await.or_else(|error| {
        if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) { Ok(()) } else { Err(error) }
    })?;
    match error {
        None => Ok(true),
        Some(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Ok(false),
        // It began to run: without arguments, or not as a trigger, it fails.
        Some(_) if what.kind == "function" => Ok(true),
        Some(error) => Err(error.into()),
    }
}
