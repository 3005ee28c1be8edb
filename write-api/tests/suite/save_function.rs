//! The function that stores batches: its migration, and the plans of its statements.

use std::fmt::Write;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::StatusCode;
use testkit::golden::Golden;
use testkit::test_database::TestDatabase;
use testkit::wait;
use tokio_postgres::{AsyncMessage, Client, NoTls};
use write_api::BY_KEY_ONLY;

use crate::support::{Api, Replica, problem};

const GOLDEN: Golden = Golden::new(env!("CARGO_MANIFEST_DIR"));
const SOURCE: &str = include_str!("../../src/adapter/postgres/writer/save_batch_1.sql");
const MIGRATION: &str = include_str!("../../../migrations/2026-11-29-000100_store_orders_by_function/up.sql");

/// The elements of its parameters, all of them arrays.
const NEW_ORDER: [&str; 10] =
    ["uuid", "bigint", "text", "text", "text", "text", "text", "text", "bigint", "timestamptz"];
const STEP: [&str; 15] = [
    "uuid",
    "bigint",
    "text",
    "text",
    "text",
    "integer",
    "text",
    "timestamptz",
    "text",
    "text",
    "text",
    "timestamptz",
    "timestamptz",
    "timestamptz",
    "timestamptz",
];

#[test]
fn the_migration_creates_the_function_of_the_source_file() {
    assert!(MIGRATION.contains(SOURCE), "released already? Then the next version has another name");
}

/// The names of its parameters.
fn parameters() -> Result<Vec<String>> {
    let list =
        SOURCE.split_once('(').and_then(|(_, list)| list.split_once(") RETURNS")).context("no list")?.0;
    let names: Vec<_> = list.split(',').filter_map(|one| one.split_whitespace().next()).collect();
    assert_eq!(names.len(), NEW_ORDER.len() + STEP.len(), "{names:?}");
    Ok(names.into_iter().map(str::to_owned).collect())
}

fn types() -> String {
    let types = NEW_ORDER.iter().chain(&STEP);
    types.map(|element| format!("{element}[]")).collect::<Vec<_>>().join(", ")
}

/// The statement of the function that begins and ends with these words, as it is prepared in a session.
fn prepared(name: &str, begin: &str, end: &str) -> Result<String> {
    let (_, rest) = SOURCE.split_once(begin).context("the statement begins otherwise")?;
    let (body, _) = rest.split_once(end).context("the statement ends otherwise")?;
    let mut statement = format!("{begin}{body}{end}");
    for (number, parameter) in (1..).zip(parameters()?) {
        let words = statement.split_inclusive(|next: char| !next.is_alphanumeric() && next != '_');
        let replaced = words.map(|word| match word.strip_prefix(&parameter) {
            Some(rest) if !rest.starts_with(char::is_alphanumeric) && !rest.starts_with('_') => {
                format!("${number}{rest}")
            }
            _ => word.to_owned(),
        });
        statement = replaced.collect();
    }
    Ok(format!("PREPARE {name} ({}) AS {statement}", types()))
}

async fn with_the_settings(client: &Client) -> Result<()> {
    for setting in BY_KEY_ONLY {
        client.batch_execute(&format!("SET {setting}")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn steps_find_orders_by_key_even_with_a_plan_for_empty_tables() -> Result<()> {
    let database = TestDatabase::create().await?;
    let client = database.connect().await?;
    with_the_settings(&client).await?;
    client.batch_execute(&prepared("update_orders", "UPDATE", "RETURNING o.order_id")?).await?;
    let major =
        client.query_one("SELECT current_setting('server_version_num')::int / 10000", &[]).await?.get(0);
    let none = vec!["'{}'"; NEW_ORDER.len() + STEP.len()].join(", ");
    let many = "INSERT INTO orders (order_id, customer_id, items, total_cents, status, version, placed_at, updated_at)
                SELECT gen_random_uuid(), 'c', '[{}]', 1, 'placed', 1, now(), now() FROM generate_series(1, 50000)";
    for fill in [many, "TRUNCATE orders"] {
        client.batch_execute(fill).await?;
        client.batch_execute("VACUUM ANALYZE orders").await?;
        let lines = client.query(&format!("EXPLAIN (COSTS OFF) EXECUTE update_orders({none})"), &[]).await?;
        let plan: Vec<String> = lines.iter().map(|line| line.get(0)).collect();
        assert!(plan.iter().any(|line| line.contains("TID Cond")), "{plan:#?}");
        GOLDEN.compare_plan("save_batch_1.plan", &plan.join("\n"), major)?;
    }
    Ok(())
}

/// Beside a schema without it, the process must get no requests: no order could be stored.
#[tokio::test]
async fn without_the_function_the_process_is_not_ready() -> Result<()> {
    let api = Api::start_with(&[("READINESS_GRACE_MS", "1000")]).await?;
    api.until_ready_is(StatusCode::OK).await?;
    let session = api.database.connect().await?;
    for (change, undo, missing) in [
        (
            "REVOKE EXECUTE ON FUNCTION save_batch_1 FROM orders_write",
            "GRANT EXECUTE ON FUNCTION save_batch_1 TO orders_write",
            "the role of DATABASE_URL lacks the privilege EXECUTE on save_batch_1",
        ),
        (
            "CREATE SCHEMA other; ALTER FUNCTION save_batch_1 SET SCHEMA other",
            "ALTER FUNCTION other.save_batch_1 SET SCHEMA public",
            "the database lacks the function save_batch_1: apply the migrations of this version",
        ),
    ] {
        session.batch_execute(change).await?;
        api.until_ready_is(StatusCode::SERVICE_UNAVAILABLE).await?;
        let refused = problem(api.probe("/readyz").await?).await?;
        assert!(refused.to_string().contains(missing), "{refused}");
        session.batch_execute(undo).await?;
        api.until_ready_is(StatusCode::OK).await?;
    }
    Ok(())
}

/// The function is looked for in the schema of the tables: if that is missing, the schema is named, not the function.
#[tokio::test]
async fn a_wrong_search_path_is_named_rather_than_the_function() -> Result<()> {
    let database = TestDatabase::create().await?;
    database
        .connect()
        .await?
        .batch_execute("CREATE SCHEMA bare; GRANT USAGE ON SCHEMA bare TO PUBLIC")
        .await?;
    for (path, named) in [
        ("missing", "search_path begins with missing, which is no schema"),
        ("missing,public", "search_path begins with missing, which is no schema"),
        ("bare,public", "of schema public, and not of bare"),
    ] {
        let url = format!("{}?options=-c%20search_path%3D{path}", database.url("orders_write_api"));
        let replica = Replica::start(&url, &[("READINESS_GRACE_MS", "1000")])?;
        let named_by_probe = wait::until(named, Duration::from_secs(30), async || {
            let probe = replica.probe("/readyz").await.map_err(|error| error.to_string())?;
            let text = probe.text().await.map_err(|error| error.to_string())?;
            if text.contains(named) { Ok(()) } else { Err(text) }
        });
        named_by_probe.await?;
    }
    Ok(())
}

/// A session that counts how often PostgreSQL plans a statement.
async fn counting_session(database: &TestDatabase) -> Result<(Client, Arc<AtomicUsize>)> {
    let (client, mut connection) = tokio_postgres::connect(&database.superuser_url(), NoTls).await?;
    let planned = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&planned);
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notice(notice) = message
                && notice.message() == "PLANNER STATISTICS"
            {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    Ok((client, planned))
}

/// A call for these many orders, all of them new or all of them paid for.
fn call(orders: usize, is_new: bool) -> String {
    let array = |(element, value): (&str, &str)| {
        let mut values = String::new();
        for number in 0..orders {
            let separator = if number == 0 { "" } else { ", " };
            let value =
                value.replace("ID", &format!("{:08x}-0000-7000-8000-000000000000", orders * 100 + number));
            let _infallible = write!(values, "{separator}{value}");
        }
        format!("ARRAY[{values}]::{element}[]")
    };
    let new = ["'ID'", "1", "'order_placed'", "'{}'", "NULL", "'c'", "'[{}]'", "'EUR'", "1", "now()"];
    let step = [
        "'ID'",
        "1",
        "'order_paid'",
        "'{}'",
        "NULL",
        "2",
        "'paid'",
        "now()",
        "NULL",
        "NULL",
        "NULL",
        "now()",
        "NULL",
        "NULL",
        "NULL",
    ];
    let used = |types: &[&'static str], values: &[&'static str], is_used: bool| -> Vec<String> {
        let none = |(element, _)| format!("ARRAY[]::{element}[]");
        let columns = types.iter().copied().zip(values.iter().copied());
        if is_used { columns.map(array).collect() } else { columns.map(none).collect() }
    };
    let arguments = [used(&NEW_ORDER, &new, is_new), used(&STEP, &step, !is_new)].concat();
    format!("EXECUTE save({})", arguments.join(", "))
}

/// A plan for each batch would take longer than the batch.
#[tokio::test]
async fn no_statement_of_the_function_is_planned_for_each_batch() -> Result<()> {
    let database = TestDatabase::create().await?;
    let (client, planned) = counting_session(&database).await?;
    with_the_settings(&client).await?;
    let parameters: Vec<_> = (1..=NEW_ORDER.len() + STEP.len()).map(|number| format!("${number}")).collect();
    let statement =
        format!("PREPARE save ({}) AS SELECT unnest(save_batch_1({}))", types(), parameters.join(", "));
    client.batch_execute(&statement).await?;
    client.batch_execute("SET log_planner_stats = on; SET client_min_messages = log").await?;
    // PostgreSQL makes five plans for given parameters, and then the general one.
    for orders in 1..=40 {
        for is_new in [true, false] {
            let before = planned.load(Ordering::Relaxed);
            let saved = client.simple_query(&call(orders, is_new)).await?;
            assert_eq!(saved.len(), orders + 2, "rows, their description and the end: {orders}");
            let count = planned.load(Ordering::Relaxed) - before;
            if orders <= 6 {
                assert_ne!(count, 0, "the plans are counted");
            } else {
                assert_eq!(count, 0, "planned again for {orders} orders, new: {is_new}");
            }
        }
    }
    Ok(())
}
