//! How many deliveries a feeder may add.

use anyhow::Result;
use diesel_async::AsyncPgConnection;
use projector::webhooks::delivery::{self, Backlogs, CROWDED, DUE_MAX, UNTRIED_MAX};
use projector::webhooks::operator;

use super::support::{add, deliver};
use crate::support::{Scene, event};

#[tokio::test]
async fn room_is_what_due_deliveries_leave() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let url = "https://hooks.example/";
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(add(&mut connection, url).await?.id);
    }
    let [busy, idle, removed] = ids[..] else { anyhow::bail!("{ids:?}") };
    operator::remove(&mut connection, removed).await?;
    deliver(&mut connection, busy, &[1, 2, 3, 4, 5].map(|order| event(order, 1))).await?;
    let wait = "UPDATE deliveries SET next_attempt_at = now() + interval '1 hour' WHERE position <= 3";
    scene.session.batch_execute(wait).await?;

    let backlogs = Backlogs::default();
    let mut rooms = delivery::rooms(&mut connection, &ids, &backlogs).await?;
    rooms.sort_unstable();
    assert_eq!(rooms, [(busy, DUE_MAX - 2), (idle, DUE_MAX)], "what waits for a later attempt leaves room");
    let failing = "UPDATE webhook_endpoints SET failures = 10, failing_since = now()";
    scene.session.batch_execute(failing).await?;
    assert_eq!(room(&mut connection, busy, &backlogs).await?, DUE_MAX - 2, "also while nothing succeeds");
    Ok(())
}

#[tokio::test]
async fn whatever_waits_some_events_that_were_never_tried_fit_unless_a_crowded_endpoint_accepts_others()
-> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let id = add(&mut connection, "https://hooks.example/").await?.id;
    let backlogs = Backlogs::default();
    let due = format!(
        "INSERT INTO deliveries (endpoint, position, order_id, event_id, kind, payload, occurred_at, recorded_at,
             failures, first_failed_at)
         SELECT {id}, -number, gen_random_uuid(), gen_random_uuid(), 'order_paid', '{{}}', now(), now(), 5, now()
         FROM generate_series(1, 1200) AS number;
         INSERT INTO deliveries (endpoint, position, order_id, event_id, kind, payload, occurred_at, recorded_at)
         SELECT endpoint, position + 100000, order_id, gen_random_uuid(), kind, payload, occurred_at, recorded_at
         FROM deliveries"
    );
    scene.session.batch_execute(&due).await?;
    assert_eq!(
        room(&mut connection, id, &backlogs).await?,
        UNTRIED_MAX,
        "what is due was refused, or waits for that"
    );
    deliver(&mut connection, id, &[1, 2, 3, 4].map(|order| event(order, 1))).await?;
    assert_eq!(room(&mut connection, id, &backlogs).await?, UNTRIED_MAX - 4);

    backlogs.observed(id, CROWDED);
    for (succeeded_at, expected) in [
        ("NULL", UNTRIED_MAX - 4),
        ("now() + interval '1 min'", UNTRIED_MAX - 4),
        ("now() - interval '6 min'", UNTRIED_MAX - 4),
        ("now() - interval '4 min'", 0),
    ] {
        let succeeded = format!(
            "DELETE FROM webhook_attempts;
             INSERT INTO webhook_attempts (endpoint, position, event_id, latency_ms, attempted_at)
             SELECT {id}, 1, gen_random_uuid(), 1, at FROM CAST({succeeded_at} AS timestamptz) AS at
             WHERE at IS NOT NULL"
        );
        scene.session.batch_execute(&succeeded).await?;
        assert_eq!(room(&mut connection, id, &backlogs).await?, expected, "{succeeded_at}");
    }
    deliver(&mut connection, id, &(1..=1_000).map(|order| event(order, 1)).collect::<Vec<_>>()).await?;
    assert_eq!(room(&mut connection, id, &Backlogs::default()).await?, 0, "no more than a thousand");
    Ok(())
}

async fn room(connection: &mut AsyncPgConnection, endpoint: i64, backlogs: &Backlogs) -> Result<i64> {
    let rooms = delivery::rooms(connection, &[endpoint], backlogs).await?;
    let [(_, room)] = rooms[..] else { anyhow::bail!("{rooms:?}") };
    Ok(room)
}
