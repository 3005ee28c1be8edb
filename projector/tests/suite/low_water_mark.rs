//! The low-water mark: it passes deleted events, and never an event that may still commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use projector::batch::BatchOutcome;
use projector::outbox::ClaimLimits;
use projector::outbox::low_water_mark::queries;
use projector::{database, outbox};
use service_kit::database::DatabaseConfig;
use testkit::wait;
use tokio::task::JoinSet;
use tokio_postgres::{Client, IsolationLevel};

use crate::support::{Scene, Worker, drain, event, placed_at};

/// Writes as write-api does: the order first, so that the transaction has its xid before it allocates an outbox id.
async fn write(session: &Client, order: u128) -> Result<()> {
    let event = event(order, 1);
    let insert = "INSERT INTO orders (order_id, customer_id, items, total_cents, status, version, placed_at, updated_at)
                  VALUES ($1::text::uuid, 'customer', '[1]', 100, 'placed', 1, $2, $2)";
    let at = std::time::SystemTime::from(placed_at());
    session.execute(insert, &[&event.order.order_id.to_string(), &at]).await?;
    let encoded = event.encode()?;
    let insert = "INSERT INTO outbox (kind, payload) VALUES ($1, $2::text::json)";
    session.execute(insert, &[&encoded.kind, &encoded.payload]).await?;
    Ok(())
}

/// Runs batches until the mark has passed `id`.
async fn pass(worker: &Worker, id: i64) -> Result<()> {
    wait::until("the mark to advance", Duration::from_secs(30), || async {
        let outcome = worker.run_once().await;
        if worker.low_water_mark() > id { Ok(()) } else { Err((outcome.is_ok(), worker.low_water_mark())) }
    })
    .await?;
    Ok(())
}

async fn newest_id(scene: &Scene) -> Result<i64> {
    Ok(scene.session.query_one("SELECT last_value FROM outbox_id_seq", &[]).await?.get(0))
}

#[tokio::test]
async fn claims_start_after_deleted_events() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(100)?;
    scene.emit((1..=250).map(|order| event(order, 1))).await?;
    assert_eq!(worker.low_water_mark(), 0);
    drain(&worker).await?;
    pass(&worker, 250).await?;
    assert_eq!(worker.low_water_mark(), 251);
    scene.emit([event(300, 1)]).await?;
    assert_eq!(drain(&worker).await?, (1, 0));
    Ok(())
}

/// The xmax of a snapshot does not cover a running transaction that is newer than all ended ones.
#[tokio::test]
async fn nothing_is_settled_while_the_newest_transaction_is_running() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let mut newest = scene.database.connect().await?;
    let newest = newest.transaction().await?;
    write(newest.client(), 1).await?;

    let allocated = queries::allocated(&mut connection, 1).await?;
    let xid = allocated.xid.context("no xid, although an id was allocated")?;
    assert_eq!(allocated.newest, 1);
    assert!(!queries::scan(&mut connection, 0..10, xid).await?.is_settled);

    newest.commit().await?;
    // Transactions of other tests on this server count too.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let scan = queries::scan(&mut connection, 0..10, xid).await?;
        if scan.is_settled {
            assert_eq!(scan.first, Some(1));
            return Ok(());
        }
        ensure!(tokio::time::Instant::now() < deadline, "not settled");
    }
}

#[tokio::test]
async fn an_event_with_a_low_id_that_is_committed_late_is_claimed_by_the_next_batch() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(100)?;
    let mut late = scene.database.connect().await?;
    let late = late.transaction().await?;
    write(late.client(), 1).await?;

    // Other events are projected, and thousands of ids are allocated after the late one.
    for first in (1_000..4_000).step_by(500) {
        scene.emit_all(&(first..first + 500).map(|order| event(order, 1)).collect::<Vec<_>>()).await?;
        drain(&worker).await?;
    }
    assert!(newest_id(&scene).await? > 3_000);
    assert!(worker.low_water_mark() <= 1, "the mark must not pass an id that may still commit");

    late.commit().await?;
    assert_eq!(worker.run_once().await?, BatchOutcome::Committed { applied: 1, parked: 0, waiting: 0 });
    // Now nothing holds the mark up.
    pass(&worker, 3_000).await
}

#[tokio::test]
async fn events_of_a_worker_that_died_between_claim_and_commit_are_not_skipped() -> Result<()> {
    let scene = Scene::create().await?;
    scene.emit((1..=10).map(|order| event(order, 1))).await?;
    let mut dying = scene.open()?.session().await?;
    diesel_async::SimpleAsyncConnection::batch_execute(&mut dying, "BEGIN").await?;
    let claimed = outbox::claim(&mut dying, 0, ClaimLimits { events: 3, bytes: 1_000_000 }).await?;
    assert_eq!(claimed.len(), 3);

    let worker = scene.worker(100)?;
    assert_eq!(drain(&worker).await?, (7, 0));
    scene.emit_all(&(1_000..3_000).map(|order| event(order, 1)).collect::<Vec<_>>()).await?;
    drain(&worker).await?;
    assert!(worker.low_water_mark() <= 1, "{}", worker.low_water_mark());

    let killed = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                  WHERE application_name = 'test' AND state = 'idle in transaction' AND datname = current_database()";
    assert_eq!(scene.session.query(killed, &[]).await?.len(), 1);
    assert_eq!(drain(&worker).await?, (3, 0));
    pass(&worker, 2_000).await
}

/// Three writers without pauses, one writer that keeps each transaction open for a while, and three workers that share
/// the mark. After the writers have ended, one pass over the outbox finds all remaining events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_event_is_skipped_with_three_writers_under_load_and_one_that_commits_late() -> Result<()> {
    let scene = Arc::new(Scene::create().await?);
    let worker = scene.worker(50)?;
    let writing = Arc::new(AtomicBool::new(true));
    let mut writers = JoinSet::new();
    for writer in 1..=3_u128 {
        let (scene, writing) = (Arc::clone(&scene), Arc::clone(&writing));
        writers.spawn(async move {
            let mut session = scene.database.connect().await?;
            let mut written = 0;
            while writing.load(Ordering::Relaxed) {
                let transaction = session.transaction().await?;
                write(transaction.client(), writer * 1_000_000 + written).await?;
                transaction.commit().await?;
                written += 1;
            }
            anyhow::Ok(written)
        });
    }
    let mut workers = JoinSet::new();
    for _ in 0..3 {
        let (worker, writing) = (Arc::clone(&worker), Arc::clone(&writing));
        workers.spawn(async move {
            let mut applied = 0;
            while writing.load(Ordering::Relaxed) {
                applied += drain(&worker).await?.0;
            }
            anyhow::Ok(applied)
        });
    }

    let mut late = scene.database.connect().await?;
    for order in 1..=5 {
        let transaction = late.transaction().await?;
        write(transaction.client(), order).await?;
        let own: i64 = transaction.query_one("SELECT lastval()", &[]).await?.get(0);
        wait::until("the other writers to be far ahead", Duration::from_secs(20), || async {
            let newest = newest_id(&scene).await.unwrap_or_default();
            if newest > own + 300 { Ok(()) } else { Err(newest) }
        })
        .await?;
        ensure!(
            worker.low_water_mark() <= own,
            "the mark is {}, past {own}, which has not committed",
            worker.low_water_mark()
        );
        transaction.commit().await?;
    }

    writing.store(false, Ordering::Relaxed);
    let (mut written, mut applied) = (5, 0);
    while let Some(ended) = writers.join_next().await {
        written += ended??;
    }
    while let Some(ended) = workers.join_next().await {
        applied += ended??;
    }
    let mark = worker.low_water_mark();
    ensure!(mark > 0, "the mark never advanced, so the test proves nothing");
    applied += drain(&worker).await?.0;
    ensure!(scene.count("outbox").await? == 0, "events below {mark} were missed");
    assert_eq!(u128::try_from(applied)?, written);
    Ok(())
}

#[tokio::test]
async fn under_an_old_snapshot_a_claim_does_not_read_deleted_events() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(1_000)?;
    let mut pin = scene.database.connect().await?;
    let pin = pin.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().await?;
    pin.query("SELECT 1", &[]).await?;
    for batch in 0..10 {
        let orders = batch * 1_000 + 1..=(batch + 1) * 1_000;
        scene.emit_all(&orders.map(|order| event(order, 1)).collect::<Vec<_>>()).await?;
        drain(&worker).await?;
    }
    pass(&worker, 9_999).await?;

    // An empty claim reads all pages of the dead rows from the lowest id, and a few pages from the mark.
    let pages = |from: i64| {
        let session = &scene.session;
        async move {
            let claim = format!(
                "SELECT ctid FROM outbox WHERE id >= {from} ORDER BY id LIMIT 1000 FOR UPDATE SKIP LOCKED"
            );
            let explain = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {claim}");
            let plan: serde_json::Value = serde_json::from_str(&explained(session, &explain).await?)?;
            plan.pointer("/0/Plan/Shared Hit Blocks")
                .and_then(serde_json::Value::as_u64)
                .context("no number of pages")
        }
    };
    scene.session.batch_execute("SET enable_seqscan = off; SET enable_bitmapscan = off").await?;
    let (from_lowest, from_mark) = (pages(0).await?, pages(worker.low_water_mark()).await?);
    ensure!(from_lowest > 100, "{from_lowest} pages: there are no dead rows, so the test proves nothing");
    ensure!(from_mark < 10, "{from_mark} of {from_lowest} pages");
    pin.rollback().await?;
    Ok(())
}

/// A claim from the lowest id would read too many dead rows for its timeout, and would fail again and again.
#[tokio::test]
async fn a_projector_that_starts_under_an_old_snapshot_gets_past_deleted_events() -> Result<()> {
    let scene = Scene::create().await?;
    let mut pin = scene.database.connect().await?;
    let pin = pin.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().await?;
    pin.query("SELECT 1", &[]).await?;
    let dead = "INSERT INTO outbox (kind, payload) SELECT 'kind', '{}' FROM generate_series(1, 400000)";
    scene.session.batch_execute(dead).await?;
    scene.session.batch_execute("DELETE FROM outbox").await?;
    scene.emit([event(1, 1)]).await?;

    let mut vars = scene.vars();
    vars.push(("DATABASE_STATEMENT_TIMEOUT_MS".to_owned(), "40".to_owned()));
    let database = database::open(&DatabaseConfig::from_vars(&vars)?, "test")?;
    let worker = Worker::new(database, projector::projections(), 10);
    wait::until("the event to be applied", Duration::from_secs(20), || async {
        match worker.run_once().await {
            Ok(BatchOutcome::Committed { .. }) => Ok(()),
            other => Err((other, worker.low_water_mark())),
        }
    })
    .await?;
    pin.rollback().await?;
    Ok(())
}

async fn explained(session: &Client, explain: &str) -> Result<String> {
    let rows = session.simple_query(explain).await?;
    let texts = rows.iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    Ok(texts.collect())
}
