//! The plan of the statement that stores orders finds rows by key, whatever the statistics.

use anyhow::Result;
use chrono::Utc;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use testkit::golden::Golden;
use write_api::port::{OrderWriter, Saved};

use crate::support::{SingleSessionWriter, some_order};

const GOLDEN: Golden = Golden::new(env!("CARGO_MANIFEST_DIR"));

#[derive(diesel::QueryableByName)]
struct Prepared {
    #[diesel(sql_type = diesel::sql_types::Text)]
    name: String,
    #[diesel(sql_type = diesel::sql_types::Integer)]
    major: i32,
}

#[derive(diesel::QueryableByName)]
struct PlanLine {
    #[diesel(sql_type = diesel::sql_types::Text, column_name = "QUERY PLAN")]
    line: String,
}

/// The statement's generic plan. It finds orders by key or ctid.
async fn plan(connection: &mut AsyncPgConnection, name: &str) -> Result<String> {
    let arrays = [
        "uuid",
        "text",
        "text",
        "bigint",
        "text",
        "int",
        "timestamptz",
        "timestamptz",
        "text",
        "text",
        "bigint",
    ];
    let arguments = arrays.map(|element| format!("ARRAY[]::{element}[]")).join(", ");
    let explain = format!("EXPLAIN (COSTS OFF) EXECUTE {name}({arguments})");
    let plan: Vec<PlanLine> = diesel::sql_query(explain).load(connection).await?;
    let plan: Vec<_> = plan.into_iter().map(|row| row.line).collect();
    let reads = |line: &str| line.contains(" on orders") && line.contains(" Scan ");
    let found_by: Vec<_> = plan.iter().zip(plan.iter().skip(1)).filter(|(line, _)| reads(line)).collect();
    assert_eq!(found_by.len(), 2, "one scan in `free`, one in `changed`: {plan:#?}");
    let is_found = |condition: &str| condition.contains("Index Cond") || condition.contains("TID Cond");
    assert!(found_by.iter().all(|(_, condition)| is_found(condition)), "{plan:#?}");
    Ok(plan.join("\n"))
}

#[tokio::test]
async fn a_batch_finds_orders_by_key_even_with_a_plan_for_empty_tables() -> Result<()> {
    let SingleSessionWriter { test_database, database, writer, .. } = SingleSessionWriter::open().await?;
    let (order, event) = some_order(Utc::now())?;
    assert_eq!(writer.save(&order, event).await?, Saved::Stored);
    let mut connection = database.session().await?;
    connection.batch_execute("SET plan_cache_mode = force_generic_plan").await?;
    let query = "SELECT name, current_setting('server_version_num')::int / 10000 AS major
                 FROM pg_prepared_statements WHERE statement LIKE '-- save_batch%'";
    let save: Prepared = diesel::sql_query(query).get_result(&mut connection).await?;

    // One plan with statistics of large tables, one with statistics of empty ones.
    let owner = test_database.connect().await?;
    let many = "INSERT INTO orders
                SELECT gen_random_uuid(), customer_id, items, total_cents, status, version, placed_at, updated_at
                FROM orders, generate_series(1, 50000)";
    for fill in [many, "TRUNCATE orders, outbox"] {
        owner.batch_execute(fill).await?;
        owner.batch_execute("VACUUM ANALYZE").await?;
        let plan = plan(&mut connection, &save.name).await?;
        GOLDEN.compare_plan("save_batch.plan", &plan, save.major)?;
    }
    Ok(())
}
