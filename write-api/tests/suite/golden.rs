//! The statement that everything is stored with, word for word, and how PostgreSQL runs it: by key, whatever the statistics say.

use std::path::Path;

use anyhow::Result;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use write_api::port::{OrderWriter, Saved};

use crate::support::{OneConnection, some_order};

/// The version of PostgreSQL whose plans are committed.
const PLANS_OF: i32 = 15;

#[derive(diesel::QueryableByName)]
struct Prepared {
    #[diesel(sql_type = diesel::sql_types::Text)]
    name: String,
    #[diesel(sql_type = diesel::sql_types::Text)]
    statement: String,
    #[diesel(sql_type = diesel::sql_types::Integer)]
    major: i32,
}

#[derive(diesel::QueryableByName)]
struct PlanLine {
    #[diesel(sql_type = diesel::sql_types::Text, column_name = "QUERY PLAN")]
    line: String,
}

/// Compares with the file; `UPDATE_GOLDEN=1` writes it instead, to be looked at before it is committed.
fn compare(file: &str, found: &str) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, format!("{found}\n"))?;
    }
    assert_eq!(std::fs::read_to_string(&path)?.trim_end(), found, "{file}");
    Ok(())
}

#[tokio::test]
async fn a_batch_finds_its_orders_by_key_even_by_a_plan_that_was_made_for_empty_tables() -> Result<()> {
    let OneConnection { server, database, writer } = OneConnection::open().await?;
    let (order, event) = some_order()?;
    assert_eq!(writer.save(&order, &event).await?, Saved::Stored);
    // The plan that PostgreSQL keeps for all arguments, made when it knows that there is nothing to find.
    let owner = server.connect().await?;
    owner.batch_execute("TRUNCATE orders, outbox").await?;
    owner.batch_execute("VACUUM ANALYZE").await?;
    let mut connection = database.pool().get().await?;
    connection.batch_execute("SET plan_cache_mode = force_generic_plan").await?;
    let query = "SELECT name, statement, current_setting('server_version_num')::int / 10000 AS major
                 FROM pg_prepared_statements WHERE statement LIKE 'WITH input AS (%'";
    let save: Prepared = diesel::sql_query(query).get_result(&mut connection).await?;
    compare("save_batch.sql", &save.statement)?;

    let arrays =
        ["uuid", "text", "text", "bigint", "text", "int", "timestamptz", "timestamptz", "text", "text"];
    let arguments = arrays.map(|element| format!("ARRAY[]::{element}[]")).join(", ");
    let explain = format!("EXPLAIN (COSTS OFF) EXECUTE {}({arguments})", save.name);
    let plan: Vec<PlanLine> = diesel::sql_query(explain).load(&mut connection).await?;
    let plan: Vec<_> = plan.into_iter().map(|row| row.line).collect();
    // Each major version words its plans in its own way. These rules hold for all of them.
    assert!(!plan.iter().any(|line| line.contains("Seq Scan")), "{plan:#?}");
    let with_next = plan.iter().zip(plan.iter().skip(1));
    let scans: Vec<_> = with_next.filter(|(line, _)| line.contains(" Scan using ")).collect();
    assert_eq!(scans.len(), 2, "one for those that are free, one for those that change: {plan:#?}");
    assert!(scans.iter().all(|(_, condition)| condition.contains("Index Cond")), "{plan:#?}");
    if save.major == PLANS_OF { compare("save_batch.plan", &plan.join("\n")) } else { Ok(()) }
}
