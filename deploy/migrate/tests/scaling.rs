//! What a scaler of the projector queries: the age of the oldest event in the outbox.

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use testkit::golden::Golden;
use testkit::owned_database::OwnedDatabase;
use testkit::test_database::TestDatabase;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, IsolationLevel, SimpleQueryMessage};

const GOLDEN: Golden = Golden::new(env!("CARGO_MANIFEST_DIR"));
/// What is returned without any event.
const NONE: Range<f64> = 0.0..0.001;
const QUERY: &str = "SELECT oldest_event_seconds()";

async fn age(session: &Client) -> Result<f64> {
    Ok(session.query_one(QUERY, &[]).await?.get(0))
}

/// Adds an event that was written this long ago.
async fn emit(session: &Client, ago: &str) -> Result<()> {
    let event = format!(
        "INSERT INTO outbox (kind, payload, created_at) VALUES ('k', '{{}}', now() - interval '{ago}')"
    );
    Ok(session.batch_execute(&event).await?)
}

#[tokio::test]
async fn the_age_is_that_of_the_first_event_and_zero_without_one() -> Result<()> {
    let owned = OwnedDatabase::create().await?;
    migrate::up(&owned.url()).await?;
    let scaler = owned.connect_as("orders_scaler").await?;
    assert!(NONE.contains(&age(&scaler).await?));

    emit(&owned.superuser, "1 hour").await?;
    emit(&owned.superuser, "1 minute").await?;
    let hour = age(&scaler).await?;
    assert!((3_600.0..3_900.0).contains(&hour), "{hour}");
    assert!(age(&scaler).await? > hour, "it grows");

    owned.superuser.batch_execute("DELETE FROM outbox WHERE id = 1").await?;
    let minute = age(&scaler).await?;
    assert!((60.0..360.0).contains(&minute), "{minute}");

    owned.superuser.batch_execute("DELETE FROM outbox").await?;
    assert!(NONE.contains(&age(&scaler).await?));
    // By a clock that was set back since.
    emit(&owned.superuser, "-1 hour").await?;
    assert!(NONE.contains(&age(&scaler).await?));
    Ok(())
}

/// More workers would not apply them sooner.
#[tokio::test]
async fn parked_and_waiting_events_do_not_count() -> Result<()> {
    let database = TestDatabase::create().await?;
    let session = database.connect().await?;
    session
        .batch_execute(
            "INSERT INTO parked_events (id, kind, payload, created_at, attempts, error, next_attempt_at) VALUES
                 (1, 'k', '{}', now() - interval '1 day', 1, 'e', NULL),
                 (2, 'k', '{}', now() - interval '1 day', 1, 'e', now());
             INSERT INTO waiting_events (id, order_id, version, kind, payload, created_at) VALUES
                 (3, gen_random_uuid(), 1, 'k', '{}', now() - interval '1 day')",
        )
        .await?;
    assert!(NONE.contains(&age(&session).await?));
    Ok(())
}

/// Pages that this query reads, when the session knows the tables.
async fn pages_read(session: &Client) -> Result<i64> {
    age(session).await?;
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {QUERY}");
    let messages = session.simple_query(&explain).await?;
    let text = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    let plan: serde_json::Value = serde_json::from_str(text.context("no plan")?)?;
    let blocks = |name: &str| plan.pointer(&format!("/0/Plan/Shared {name} Blocks"))?.as_i64();
    blocks("Hit").zip(blocks("Read")).map(|(hit, read)| hit + read).with_context(|| plan.to_string())
}

#[tokio::test]
async fn few_pages_are_read_however_many_events_there_are_and_were() -> Result<()> {
    let database = TestDatabase::create().await?;
    let (session, mut holder) = (database.connect().await?, database.connect().await?);
    // Vacuum cannot remove what is deleted from now on.
    let pinned = holder.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().await?;
    pinned.query("SELECT 1", &[]).await?;
    session
        .batch_execute(
            "INSERT INTO outbox (kind, payload, created_at)
             SELECT 'k', '{}', now() - interval '1 hour' FROM generate_series(1, 200000)",
        )
        .await?;
    // No statistics were made yet, or they say that there is much.
    for statistics in ["SELECT", "ANALYZE outbox"] {
        session.batch_execute(statistics).await?;
        let pages = pages_read(&session).await?;
        assert!(pages <= 20, "a backlog, {statistics}: {pages}");
    }
    session.batch_execute("DELETE FROM outbox WHERE id <= 100000").await?;
    let unpublished = pages_read(&session).await?;
    assert!(unpublished > 200, "the dead rows are not there: {unpublished}");
    // As the projector does it.
    session.batch_execute("INSERT INTO event_log_settled VALUES (100001)").await?;
    let pages = pages_read(&session).await?;
    assert!(pages <= 20, "half of the events are projected: {pages}");
    assert!((3_600.0..3_900.0).contains(&age(&session).await?));

    session.batch_execute("DELETE FROM outbox; INSERT INTO event_log_settled VALUES (200001)").await?;
    let pages = pages_read(&session).await?;
    assert!(pages <= 20, "all are projected: {pages}");
    assert!(NONE.contains(&age(&session).await?));
    pinned.rollback().await?;
    Ok(())
}

/// As the server's operators would see it, while the outbox is so small that a scan of the whole table seems cheapest.
#[tokio::test]
async fn the_plan_matches_the_golden_file_and_scans_no_table() -> Result<()> {
    let database = TestDatabase::create().await?;
    let session = database.connect().await?;
    emit(&session, "1 minute").await?;
    session.batch_execute("ANALYZE outbox, event_log_settled").await?;
    let explain = format!(
        "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_level = notice;
         SET auto_explain.log_nested_statements = on; {QUERY}"
    );
    let output = database.program("psql").args(["-X", "-q", "-c", &explain]).output()?;
    let text = String::from_utf8(output.stderr)?;
    ensure!(output.status.success(), "{text}");
    let is_of_plan = |line: &&str| line.contains("  (cost=") || line.trim_start().starts_with("Index Cond: ");
    let without_cost = |line: &str| line.split("  (cost=").next().unwrap_or_default().to_owned();
    let plan: Vec<_> = text.lines().filter(is_of_plan).map(without_cost).collect();
    for node in ["Seq Scan", "Sort", "Bitmap"] {
        assert!(!plan.iter().any(|line| line.contains(node)), "{plan:#?}");
    }
    let major: String = session.query_one("SHOW server_version_num", &[]).await?.get(0);
    Ok(GOLDEN.compare_plan("oldest_event_seconds.plan", &plan.join("\n"), major.parse::<i32>()? / 10_000)?)
}

/// A table of the same name in the caller's path is not read.
#[tokio::test]
async fn the_function_reads_the_outbox_of_its_own_schema() -> Result<()> {
    let database = TestDatabase::create().await?;
    let session = database.connect().await?;
    session
        .batch_execute(
            "CREATE SCHEMA other;
             CREATE TABLE other.outbox AS SELECT 1::bigint AS id, now() - interval '1 day' AS created_at;
             CREATE TABLE other.event_log_settled AS SELECT 0::bigint AS below;
             SET search_path = other, pg_catalog",
        )
        .await?;
    let own: f64 = session.query_one("SELECT public.oldest_event_seconds()", &[]).await?.get(0);
    assert!(NONE.contains(&own), "{own}");
    Ok(())
}

#[tokio::test]
async fn each_role_of_the_scaler_may_have_five_connections() -> Result<()> {
    let owned = OwnedDatabase::create().await?;
    migrate::up(&owned.url()).await?;
    for role in ["orders_scaler", "orders_scaler_b"] {
        let mut sessions = Vec::new();
        for _ in 0..5 {
            sessions.push(owned.connect_as(role).await?);
        }
        let refused = owned.connect_as(role).await.err().and_then(|error| error.downcast().ok());
        let refused = refused.and_then(|error: tokio_postgres::Error| error.code().cloned());
        assert_eq!(refused, Some(SqlState::TOO_MANY_CONNECTIONS), "{role}");
    }
    Ok(())
}
