//! The plans of the statements that read orders find rows by key, whatever the statistics. `save_function` has those
//! that store them.

use anyhow::Result;
use chrono::Utc;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use testkit::golden::Golden;
use write_api::port::{OrderWriter, SaveResult};

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

/// The generic plan of the prepared statement `name`. It finds orders by key.
struct Check<'a> {
    name: &'a str,
    arguments: &'a str,
    file: &'a str,
}

async fn check(connection: &mut AsyncPgConnection, check: Check<'_>) -> Result<()> {
    let Check { name, arguments, file } = check;
    let query = format!(
        "SELECT name, current_setting('server_version_num')::int / 10000 AS major
         FROM pg_prepared_statements WHERE split_part(statement, E'\\n', 1) = '-- {name}'"
    );
    let prepared: Prepared = diesel::sql_query(query).get_result(connection).await?;
    let explain = format!("EXPLAIN (COSTS OFF) EXECUTE {}({arguments})", prepared.name);
    let plan: Vec<PlanLine> = diesel::sql_query(explain).load(connection).await?;
    let plan: Vec<_> = plan.into_iter().map(|row| row.line).collect();
    let reads =
        |line: &str| line.contains("Scan ") && (line.ends_with(" on orders") || line.contains(" on orders "));
    let found_by: Vec<_> = plan.iter().zip(plan.iter().skip(1)).filter(|(line, _)| reads(line)).collect();
    assert_eq!(found_by.len(), 1, "{name}: {plan:#?}");
    let by_key = ["Index Cond", "Recheck Cond"];
    let is_found = |condition: &str| by_key.iter().any(|name| condition.contains(name));
    assert!(found_by.iter().all(|(_, condition)| is_found(condition)), "{name}: {plan:#?}");
    Ok(GOLDEN.compare_plan(file, &plan.join("\n"), prepared.major)?)
}

#[tokio::test]
async fn every_statement_finds_orders_by_key_even_with_a_plan_for_empty_tables() -> Result<()> {
    let SingleSessionWriter { test_database, database, writer, .. } = SingleSessionWriter::open().await?;
    let (order, event) = some_order(Utc::now())?;
    assert_eq!(writer.save(&order, event.clone()).await?, SaveResult::Stored);
    assert!(matches!(writer.save(&order, event).await?, SaveResult::Conflict(_)), "after a lookup");
    assert_eq!(writer.find(order.id(), None).await?, Some(order));
    let mut connection = database.session().await?;
    // One plan with statistics of large tables, one with statistics of empty ones.
    let owner = test_database.connect().await?;
    let many = "INSERT INTO orders
                SELECT gen_random_uuid(), customer_id, items, total_cents, status, version, placed_at, updated_at
                FROM orders, generate_series(1, 50000)";
    // `look_up` uses the same index in two ways.
    for (fill, look_up) in [(many, "look_up_large.plan"), ("TRUNCATE orders, outbox", "look_up_empty.plan")] {
        owner.batch_execute(fill).await?;
        owner.batch_execute("VACUUM ANALYZE").await?;
        for (name, arguments, file) in
            [("find", "NULL, NULL", "find.plan"), ("look_up", "ARRAY[]::uuid[]", look_up)]
        {
            check(&mut connection, Check { name, arguments, file }).await?;
        }
    }
    Ok(())
}

/// Statements that PostgreSQL has planned for their arguments only, and how often.
const PLANNED_AGAIN: &str = r#"SELECT concat_ws(': ', split_part(statement, E'\n', 1), custom_plans) AS "QUERY PLAN"
    FROM pg_prepared_statements WHERE statement LIKE '-- %' AND custom_plans > 0"#;

#[tokio::test]
async fn no_batch_is_planned_again() -> Result<()> {
    let SingleSessionWriter { test_database: _kept, database, writer, .. } =
        SingleSessionWriter::open().await?;
    for _ in 0..20 {
        let (order, event) = some_order(Utc::now())?;
        assert_eq!(writer.save(&order, event.clone()).await?, SaveResult::Stored);
        assert!(matches!(writer.save(&order, event).await?, SaveResult::Conflict(_)), "after a lookup");
        assert_eq!(writer.find(order.id(), None).await?, Some(order));
    }
    let mut connection = database.session().await?;
    let planned_again: Vec<PlanLine> = diesel::sql_query(PLANNED_AGAIN).load(&mut connection).await?;
    let planned_again: Vec<_> = planned_again.into_iter().map(|statement| statement.line).collect();
    assert_eq!(planned_again, Vec::<String>::new());
    Ok(())
}
