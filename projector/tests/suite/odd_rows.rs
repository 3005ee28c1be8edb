//! Rows with values that programs do not expect: they harm no other row.

use anyhow::Result;
use projector::admin::observation;
use projector::batch::BatchOutcome;
use projector::parked::operator::{self, Owner};

use crate::support::{AT_ONCE, Scene, drain, event};

/// As in a database whose rows were written before the CHECKs existed.
const WITHOUT_CHECKS: &str = "
    ALTER TABLE outbox DROP CONSTRAINT IF EXISTS outbox_created_at_finite,
        DROP CONSTRAINT IF EXISTS outbox_created_at_readable, DROP CONSTRAINT outbox_kind_length;
    ALTER TABLE parked_events DROP CONSTRAINT IF EXISTS parked_events_times_readable;
    ALTER TABLE waiting_events DROP CONSTRAINT IF EXISTS waiting_events_created_at_readable";

/// Times that PostgreSQL can store and other programs cannot represent.
const TIMES: [&str; 5] = ["290000-01-01", "infinity", "-infinity", "4713-01-01 BC", "10000-01-01"];

/// Payloads and kinds, in SQL, that cannot be projected.
const UNREADABLE: [(&str, &str); 8] = [
    ("'order_paid'", r#"'"\u0000"'"#),
    ("'order_paid'", "'1e999999'"),
    ("'order_paid'", "repeat('[', 2000) || repeat(']', 2000)"),
    ("'order_paid'", "'\"' || repeat('x', 5000000) || '\"'"),
    ("'order_paid'", "'  null  '"),
    ("E'new\\nline\\t\\u202e \\U0001F600'", "'{}'"),
    ("''", "'{}'"),
    ("repeat('k', 100000)", "'{}'"),
];

#[tokio::test]
async fn an_event_with_an_odd_column_does_not_stop_the_others_from_being_claimed() -> Result<()> {
    let scene = Scene::create().await?;
    scene.session.batch_execute(WITHOUT_CHECKS).await?;
    for (order, time) in (1..).zip(TIMES) {
        scene.emit([event(order, 1)]).await?;
        let odd = format!(
            "UPDATE outbox SET created_at = '{time}' WHERE created_at > now() - interval '1 minute'
                               AND created_at <= now()"
        );
        assert_eq!(scene.session.execute(&odd, &[]).await?, 1);
    }
    for (kind, payload) in UNREADABLE {
        let insert = format!("INSERT INTO outbox (kind, payload) VALUES ({kind}, ({payload})::json)");
        scene.session.batch_execute(&insert).await?;
    }
    scene.emit([event(100, 1)]).await?;

    let worker = scene.worker_with_retries(100, AT_ONCE)?;
    assert_eq!(drain(&worker).await?, (TIMES.len() + 1, UNREADABLE.len()));
    assert_eq!(scene.summaries().await?.len(), TIMES.len() + 1);
    assert_eq!(scene.count("outbox").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_parked_event_with_an_odd_time_does_not_stop_the_others_from_being_retried_or_listed() -> Result<()>
{
    let scene = Scene::create().await?;
    scene.session.batch_execute(WITHOUT_CHECKS).await?;
    for (id, time) in (1_i64..).zip(TIMES) {
        let event = event(u128::try_from(id)?, 1).encode()?;
        let insert = format!(
            "INSERT INTO parked_events (id, kind, payload, created_at, parked_at, attempts, error, next_attempt_at)
             VALUES ($1, $2, $3::text::json, '{time}', '{time}', 1, 'odd', least('{time}'::timestamptz, now()))"
        );
        scene.session.execute(&insert, &[&id, &event.kind, &event.payload]).await?;
    }
    let database = scene.open()?;
    let listed =
        database.run(|connection| Box::pin(operator::list(connection, &Owner::Claim, 0, 100))).await?;
    let json = serde_json::to_value(&listed)?;
    let times: Vec<_> =
        (0..TIMES.len()).filter_map(|row| json.get(row)?.get("created_at")?.as_str()).collect();
    let (last, first) = ("9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z");
    assert_eq!(times, [last, last, first, first, last]);

    let worker = scene.worker_with_retries(100, AT_ONCE)?;
    assert_eq!(
        worker.retry_once().await?,
        BatchOutcome::Committed { applied: TIMES.len(), parked: 0, waiting: 0 }
    );
    assert_eq!(scene.count("parked_events").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_waiting_event_with_an_odd_time_does_not_stop_the_others_from_being_applied_or_counted()
-> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(100)?;
    scene.emit((1..=5).map(|order| event(order, 1))).await?;
    drain(&worker).await?;
    scene.session.batch_execute(WITHOUT_CHECKS).await?;
    for (id, time) in (1_i64..).zip(TIMES) {
        let event = event(u128::try_from(id)?, 2);
        let (order, event) = (event.order.order_id.to_string(), event.encode()?);
        let insert = format!(
            "INSERT INTO waiting_events (id, order_id, version, kind, payload, created_at)
             VALUES ($1, $2::text::uuid, 2, $3, $4::text::json, '{time}')"
        );
        scene.session.execute(&insert, &[&id, &order, &event.kind, &event.payload]).await?;
    }
    let observed = scene.open()?.run(|connection| Box::pin(observation::observe(connection, 0))).await?;
    assert_eq!(observed.waiting, 5);

    assert_eq!(
        worker.apply_waiting_once().await?,
        BatchOutcome::Committed { applied: TIMES.len(), parked: 0, waiting: 0 }
    );
    Ok(())
}

/// The CHECKs allow exactly the times that can be read.
#[tokio::test]
async fn an_event_of_the_earliest_and_of_the_latest_time_that_the_table_allows_is_claimed() -> Result<()> {
    let scene = Scene::create().await?;
    for (order, time) in [(1, "0001-01-01 00:00:00Z"), (2, "9999-12-31 23:59:59.999999Z")] {
        scene.emit([event(order, 1)]).await?;
        let odd = format!("UPDATE outbox SET created_at = '{time}' WHERE id = lastval()");
        assert_eq!(scene.session.execute(&odd, &[]).await?, 1);
    }
    assert_eq!(
        scene.worker(100)?.run_once().await?,
        BatchOutcome::Committed { applied: 2, parked: 0, waiting: 0 }
    );
    Ok(())
}
