//! One batch: what it claims, what it leaves, and what happens when it is repeated.

use anyhow::Result;
use projector::batch::BatchOutcome;
use projector::outbox::ClaimLimits;
use projector::{outbox, parked, waiting};

use crate::support::{Scene, Worker, drain, event, order_id, placed_at};

#[tokio::test]
async fn a_batch_moves_an_event_from_the_outbox_into_the_read_model() -> Result<()> {
    let scene = Scene::create().await?;
    scene.emit([event(1, 1)]).await?;
    let worker = scene.worker(10)?;

    assert_eq!(worker.run_once().await?, BatchOutcome::Committed { applied: 1, parked: 0, waiting: 0 });
    assert_eq!(worker.run_once().await?, BatchOutcome::Empty);
    assert_eq!(scene.count("outbox").await?, 0);
    let row = "SELECT order_id::text, customer_id, total_cents, status, placed_at, item_count, last_item_sku, version,
                      projected_at > now() - interval '1 minute' FROM order_summary";
    let row = scene.session.query_one(row, &[]).await?;
    assert_eq!(row.get::<_, String>(0), order_id(1).to_string());
    assert_eq!((row.get(1), row.get(2), row.get(3)), ("customer", 100_i64, "placed"));
    let placed: std::time::SystemTime = row.get(4);
    assert_eq!(chrono::DateTime::<chrono::Utc>::from(placed), placed_at());
    assert_eq!((row.get(5), row.get(6), row.get(7), row.get(8)), (1, "sku", 1, true));
    Ok(())
}

#[tokio::test]
async fn a_batch_claims_the_oldest_events_up_to_its_size() -> Result<()> {
    let scene = Scene::create().await?;
    scene.emit((1..=5).map(|order| event(order, 1))).await?;
    let worker = scene.worker(3)?;
    assert_eq!(worker.run_once().await?, BatchOutcome::Committed { applied: 3, parked: 0, waiting: 0 });
    let seen: Vec<_> = scene.summaries().await?.into_iter().map(|(id, ..)| id).collect();
    assert_eq!(seen, [1, 2, 3].map(|order| order_id(order).to_string()));
    assert_eq!(worker.run_once().await?, BatchOutcome::Committed { applied: 2, parked: 0, waiting: 0 });
    Ok(())
}

#[tokio::test]
async fn duplicates_and_late_events_change_nothing() -> Result<()> {
    let scene = Scene::create().await?;
    for batch_size in [1, 2, 100] {
        scene.emit([event(7, 3), event(7, 1), event(7, 3), event(7, 2), event(7, 1)]).await?;
        drain(&*scene.worker(batch_size)?).await?;
        assert_eq!(scene.summaries().await?, [(order_id(7).to_string(), 3, "shipped".to_owned())]);
        let total: i64 = scene.session.query_one("SELECT total_cents FROM order_summary", &[]).await?.get(0);
        assert_eq!(total, 300, "all columns come from the same version");
    }
    Ok(())
}

#[tokio::test]
async fn a_batch_that_ends_before_its_commit_leaves_everything_as_it_was() -> Result<()> {
    let scene = Scene::create().await?;
    scene.emit([event(1, 1), event(2, 1)]).await?;
    let mut connection = scene.open()?.session().await?;
    diesel_async::SimpleAsyncConnection::batch_execute(&mut connection, "BEGIN").await?;
    assert_eq!(
        outbox::claim(&mut connection, 0, ClaimLimits { events: 10, bytes: 1_000_000 }).await?.len(),
        2
    );

    // Another worker claims none of them now, and does not wait.
    let worker = scene.worker(10)?;
    assert_eq!(worker.run_once().await?, BatchOutcome::Empty);

    let killed = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                  WHERE application_name = 'test' AND state = 'idle in transaction' AND datname = current_database()";
    assert_eq!(scene.session.query(killed, &[]).await?.len(), 1);
    assert_eq!(scene.count("outbox").await?, 2);
    assert_eq!(worker.run_once().await?, BatchOutcome::Committed { applied: 2, parked: 0, waiting: 0 });
    Ok(())
}

#[tokio::test]
async fn claim_and_upsert_are_prepared_once_and_reused() -> Result<()> {
    let scene = Scene::create().await?;
    let database = scene.open_one()?;
    let worker = Worker::new(database.clone(), projector::projections(), 2);
    // Batches of two events and of one: the SQL text must not depend on the size.
    scene.emit((1..=5).map(|order| event(order, 1))).await?;
    drain(&worker).await?;

    let mut connection = database.session().await?;
    let uses = "SELECT (generic_plans + custom_plans)::bigint AS uses FROM pg_prepared_statements
                WHERE statement LIKE '-- claim_events%' OR statement LIKE '-- order_summary%' ORDER BY 1";
    let uses: Vec<Uses> = diesel_async::RunQueryDsl::load(diesel::sql_query(uses), &mut connection).await?;
    assert_eq!(uses.iter().map(|row| row.uses).collect::<Vec<_>>(), [3, 4], "three upserts, four claims");
    Ok(())
}

#[derive(diesel::QueryableByName)]
struct Uses {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    uses: i64,
}

#[tokio::test]
async fn a_claim_keeps_its_byte_limit_and_takes_a_larger_event_alone() -> Result<()> {
    let scene = Scene::create().await?;
    for length in [1_000, 1_000, 1_000, 500, 10_000, 1_000, 9_000] {
        scene.emit_raw("kind", &format!("\"{}\"", "x".repeat(length - 2))).await?;
    }
    let database = scene.open()?;
    let mut claims = Vec::new();
    loop {
        let limits = ClaimLimits { events: 100, bytes: 2_500 };
        let mut session = database.session().await?;
        let claimed = outbox::claim(&mut session, 0, limits).await?;
        session.give_back();
        if claimed.is_empty() {
            break;
        }
        claims.push(claimed.iter().map(|event| event.payload.len()).collect::<Vec<_>>());
    }
    let expected: [&[usize]; 5] = [&[1_000, 1_000], &[1_000, 500], &[10_000], &[1_000], &[9_000]];
    assert_eq!(claims, expected);
    Ok(())
}

/// Claims of parked and of waiting events have the same limit.
#[tokio::test]
async fn claims_of_parked_and_waiting_events_keep_their_byte_limit_too() -> Result<()> {
    let scene = Scene::create().await?;
    let large = "x".repeat(1_000);
    let parked = "INSERT INTO parked_events (id, kind, payload, created_at, attempts, error, next_attempt_at)
                  SELECT id, 'kind', to_json($1::text), now(), 1, 'e', now() FROM generate_series(1, 5) AS id";
    scene.session.execute(parked, &[&large]).await?;
    let waiting = "INSERT INTO waiting_events (id, order_id, version, kind, payload, created_at)
                   SELECT id, lpad(id::text, 32, '0')::uuid, 2, 'kind', to_json($1::text), now()
                   FROM generate_series(1, 5) AS id";
    scene.session.execute(waiting, &[&large]).await?;
    scene.emit((1..=5).map(|number| event(number, 1))).await?;
    scene.worker(10)?.run_once().await?;

    let limits = ClaimLimits { events: 100, bytes: 2_500 };
    let mut session = scene.open()?.session().await?;
    assert_eq!(parked::claim(&mut session, limits, std::time::Duration::from_hours(1)).await?.len(), 2);
    let window = waiting::Window { after: 0, up_to: i64::MAX, events: 1, newest: i64::MAX };
    assert_eq!(waiting::claim_unlocked(&mut session, window, limits).await?.len(), 2);
    scene.session.batch_execute("TRUNCATE order_summary").await?;
    assert_eq!(waiting::claim_without_row(&mut session, window, limits).await?.len(), 2);
    Ok(())
}
