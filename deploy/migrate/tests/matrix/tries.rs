//! Statements that need one privilege each, and change nothing.

use anyhow::Result;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

/// What became of a statement.
#[derive(Debug)]
pub(crate) struct Tried {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    /// The table of a column: a privilege on it counts too.
    pub(crate) table: Option<String>,
    /// One of these privileges is enough.
    pub(crate) by: &'static [&'static str],
    pub(crate) is_allowed: bool,
}

/// Tries everything as the role of `session`. `superuser` reads the catalog.
pub(crate) async fn all(superuser: &Client, session: &Client) -> Result<Vec<Tried>> {
    let mut statements = fixed();
    statements.extend(of_columns(superuser).await?);
    statements.extend(of_sequences_and_functions(superuser).await?);
    let mut tried = Vec::new();
    for (mut what, statement) in statements {
        what.is_allowed = is_allowed(session, &what, &statement).await?;
        tried.push(what);
    }
    Ok(tried)
}

type Statement = (Tried, String);

fn statement(kind: &'static str, name: &str, by: &'static [&'static str], statement: String) -> Statement {
    (Tried { kind, name: name.to_owned(), table: None, by, is_allowed: false }, statement)
}

fn fixed() -> Vec<Statement> {
    vec![
        statement("database", "", &["CREATE"], "CREATE SCHEMA mine".to_owned()),
        statement("database", "", &["TEMPORARY"], "CREATE TEMPORARY TABLE mine (id int)".to_owned()),
        statement("schema", "public", &["CREATE"], "CREATE TABLE public.mine (id int)".to_owned()),
        statement("schema", "public", &["USAGE"], "SELECT 'public.orders'::regclass".to_owned()),
        statement("server", "large objects", &["EXECUTE"], "SELECT lo_create(0)".to_owned()),
        statement("server", "large objects", &["EXECUTE"], "SELECT lo_creat(-1)".to_owned()),
        statement("server", "large objects", &["EXECUTE"], "SELECT lo_from_bytea(0, 'a')".to_owned()),
        statement(
            "server",
            "messages in the WAL",
            &["EXECUTE"],
            "SELECT pg_logical_emit_message(true, 'a', 'a')".to_owned(),
        ),
        statement("server", "advisory locks", &["EXECUTE"], "SELECT pg_advisory_xact_lock(1)".to_owned()),
        statement("server", "advisory locks", &["EXECUTE"], "SELECT pg_try_advisory_lock(1, 1)".to_owned()),
    ]
}

async fn of_columns(superuser: &Client) -> Result<Vec<Statement>> {
    let columns = "SELECT relname::text, attname::text, attnum = 1 FROM pg_class JOIN pg_attribute ON attrelid = oid
                   WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND attnum > 0
                       AND NOT attisdropped";
    let mut statements = Vec::new();
    for row in superuser.query(columns, &[]).await? {
        let (table, column, is_first): (&str, &str, bool) = (row.get(0), row.get(1), row.get(2));
        if is_first {
            statements.push(statement(
                "table",
                table,
                &["DELETE"],
                format!("DELETE FROM {table} WHERE false"),
            ));
            statements.push(statement("table", table, &["TRUNCATE"], format!("TRUNCATE {table}")));
        }
        let select = format!("SELECT {column} FROM {table} LIMIT 0");
        let insert =
            format!("INSERT INTO {table} ({column}) OVERRIDING SYSTEM VALUE SELECT NULL WHERE false");
        let update = format!("UPDATE {table} SET {column} = DEFAULT WHERE false");
        let verbs: [(&'static [_], _); 3] =
            [(&["SELECT"], select), (&["INSERT"], insert), (&["UPDATE"], update)];
        for (by, text) in verbs {
            let (what, text) = statement("column", &format!("{table}.{column}"), by, text);
            statements.push((Tried { table: Some(table.to_owned()), ..what }, text));
        }
    }
    Ok(statements)
}

async fn of_sequences_and_functions(superuser: &Client) -> Result<Vec<Statement>> {
    let sequences = "SELECT relname::text FROM pg_class
                     WHERE relnamespace = current_schema()::regnamespace AND relkind = 'S'";
    let mut statements = Vec::new();
    for row in superuser.query(sequences, &[]).await? {
        let name: &str = row.get(0);
        let next = format!("SELECT nextval('{name}')");
        statements.push(statement("sequence", name, &["SELECT"], format!("SELECT last_value FROM {name}")));
        statements.push(statement("sequence", name, &["USAGE", "UPDATE"], next));
        statements.push(statement("sequence", name, &["UPDATE"], format!("SELECT setval('{name}', 1)")));
    }
    let functions = "SELECT oid::regprocedure::text, proname::text, pronargs::int FROM pg_proc
                     WHERE pronamespace = current_schema()::regnamespace";
    for row in superuser.query(functions, &[]).await? {
        let (signature, name, arguments): (&str, &str, i32) = (row.get(0), row.get(1), row.get(2));
        let nulls: Vec<_> = (0..arguments).map(|_| "NULL").collect();
        let call = format!("SELECT {name}({})", nulls.join(", "));
        statements.push(statement("function", signature, &["EXECUTE"], call));
    }
    Ok(statements)
}

async fn is_allowed(session: &Client, what: &Tried, statement: &str) -> Result<bool> {
    // The role of read-api is read-only by default, which a session can change.
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
