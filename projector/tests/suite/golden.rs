//! The statements that matter, word for word, and how PostgreSQL runs them: by index or by place, whatever the statistics say.

use std::time::Duration;

use anyhow::{Result, ensure};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use projector::outbox::ClaimLimits;
use projector::outbox::low_water_mark::queries as frontier;
use projector::projection::{OrderSummary, Projection};
use projector::waiting;
use projector::waiting::Window;
use testkit::golden::Golden;
use testkit::wait;

use crate::support::{AT_ONCE, Scene, Worker, drain, event};

const GOLDEN: Golden = Golden::new(env!("CARGO_MANIFEST_DIR"));

#[derive(diesel::QueryableByName)]
struct Prepared {
    #[diesel(sql_type = diesel::sql_types::Text)]
    name: String,
    #[diesel(sql_type = diesel::sql_types::Text)]
    statement: String,
}

#[derive(diesel::QueryableByName)]
struct Major {
    #[diesel(sql_type = diesel::sql_types::Integer)]
    major: i32,
}

#[derive(diesel::QueryableByName)]
struct PlanLine {
    #[diesel(sql_type = diesel::sql_types::Text, column_name = "QUERY PLAN")]
    line: String,
}

async fn check(connection: &mut AsyncPgConnection, name: &str, begin: &str, arguments: &str) -> Result<()> {
    let query = format!("SELECT name, statement FROM pg_prepared_statements WHERE statement LIKE '{begin}%'");
    let prepared: Prepared = diesel::sql_query(query).get_result(connection).await?;
    GOLDEN.compare(&format!("{name}.sql"), &prepared.statement)?;
    let explain = format!("EXPLAIN (COSTS OFF) EXECUTE {}({arguments})", prepared.name);
    let plan: Vec<PlanLine> = diesel::sql_query(explain).load(connection).await?;
    let plan: Vec<_> = plan.into_iter().map(|row| row.line).collect();
    let is_bad = |line: &String| ["Seq Scan", "Sort", "Bitmap"].iter().any(|node| line.contains(node));
    assert!(!plan.iter().any(is_bad), "{name}: {plan:#?}");
    let major: Major =
        diesel::sql_query("SELECT current_setting('server_version_num')::int / 10000 AS major")
            .get_result(connection)
            .await?;
    Ok(GOLDEN.compare_plan(&format!("{name}.plan"), &plan.join("\n"), major.major)?)
}

#[tokio::test]
async fn the_statements_that_matter_are_the_committed_ones_and_scan_no_table() -> Result<()> {
    let scene = Scene::create().await?;
    let database = scene.open_one()?;
    scene.emit([event(1, 1)]).await?;
    scene.emit_raw("order_gift_wrapped", "{}").await?;
    let worker = Worker::with_retries(database.clone(), projector::projections(), 10, AT_ONCE);
    drain(&worker).await?;
    worker.retry_once().await?;

    let mut connection = database.session().await?;
    // The plan that PostgreSQL keeps for all arguments, made when nothing speaks for an index: the tables are empty, and
    // PostgreSQL knows it. The outbox has pages that were in use, as between two backlogs: where it is known to hold no event
    // at all, reading and sorting all that there may be seems cheapest.
    scene.session.batch_execute("TRUNCATE outbox, parked_events, order_summary").await?;
    let backlog =
        "INSERT INTO outbox (kind, payload) SELECT 'order_paid', '{}' FROM generate_series(1, 10000)";
    scene.session.batch_execute(backlog).await?;
    scene.session.batch_execute("ANALYZE outbox").await?;
    scene.session.batch_execute("DELETE FROM outbox").await?;
    // Not at once where autovacuum looks at a table here: for that long nobody else vacuums it, and deleted rows are kept.
    wait::until("the outbox to be known as empty", Duration::from_secs(20), async || {
        scene.session.batch_execute("VACUUM ANALYZE").await?;
        let known = "SELECT relpages > 0 AND reltuples = 0 FROM pg_class WHERE oid = 'outbox'::regclass";
        let is_known: bool = scene.session.query_one(known, &[]).await?.get(0);
        ensure!(is_known, "it is not");
        anyhow::Ok(())
    })
    .await?;
    connection.batch_execute("SET plan_cache_mode = force_generic_plan").await?;
    check(&mut connection, "claim", "DELETE FROM outbox", "1000, 1000, 1, 1000").await?;
    check(&mut connection, "claim_due", "SELECT id, kind, payload::text, created_at, attempts", "100, 1000")
        .await?;
    frontier::look(&mut connection, 1..2, 1).await?;
    check(&mut connection, "look", "SELECT settled", "1, 2, 1").await?;
    waiting::window(&mut connection, 1, 1).await?;
    check(&mut connection, "waiting_window", "SELECT max(id)", "1, 10000").await?;
    let (window, limits) = (Window { after: 1, up_to: 2, events: 1 }, ClaimLimits { events: 1, bytes: 1 });
    waiting::claim_unlocked(&mut connection, window, limits).await?;
    let arguments = "1, 2, 1000, 1000000";
    check(&mut connection, "claim_unlocked", "SELECT id, kind%AS unlocked", arguments).await?;
    waiting::claim_without_row(&mut connection, window, limits).await?;
    check(&mut connection, "claim_without_row", "SELECT id, kind%IS NULL", arguments).await?;
    waiting::remove(&mut connection, &[1]).await?;
    check(&mut connection, "remove_waiting", "DELETE FROM waiting_events", "ARRAY[]::bigint[]").await?;
    OrderSummary.lock_rows(&mut connection, &[event(1, 1)]).await?;
    check(&mut connection, "lock_rows", "SELECT t.order_id", "ARRAY[]::uuid[]").await?;
    let arrays = ["uuid", "text", "bigint", "text", "timestamptz", "int", "text", "int"];
    let arguments: Vec<_> = arrays.iter().map(|element| format!("ARRAY[]::{element}[]")).collect();
    check(&mut connection, "upsert", "INSERT INTO order_summary", &arguments.join(", ")).await
}
