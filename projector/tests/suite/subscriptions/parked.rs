//! Events that one subscription refuses, or whose rows are locked.

use std::time::Duration;

use anyhow::Result;
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use futures_util::future::BoxFuture;
use projector::batch::BatchOutcome;
use projector::projection::Projection;
use projector::subscription::Progress;
use shared_events::OrderEvent;
use testkit::wait;

use super::support::{Counts, run_to_end};
use crate::support::{AT_ONCE, LATER, Scene, event, order_id};

/// Refuses the events of one order, like a CHECK that it knows of.
struct Refuses(Counts, u128);

impl Projection for Refuses {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn refuses(&self, event: &OrderEvent) -> Option<String> {
        (event.order.order_id == order_id(self.1)).then(|| "not this one".to_owned())
    }

    fn apply<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        events: &'a [&'a OrderEvent],
    ) -> BoxFuture<'a, QueryResult<()>> {
        self.0.apply(connection, events)
    }
}

async fn scene(orders: u128) -> Result<Scene> {
    let scene = Scene::create().await?;
    scene.create_counts("counts").await?;
    scene.subscribe("counts").await?;
    let events: Vec<_> = (1..=orders).map(|order| event(order, 1)).collect();
    scene.emit_all(&events).await?;
    scene.trace_outbox().await?;
    scene.log_all().await?;
    Ok(scene)
}

#[tokio::test]
async fn what_one_read_model_refuses_is_parked_for_it_alone_and_tried_again_on_its_own() -> Result<()> {
    let scene = scene(3).await?;
    scene.create_counts("other").await?;
    scene.subscribe("other").await?;
    let refuses = scene.steps_with_retries(Refuses(Counts("counts"), 2), AT_ONCE)?;
    let Progress::Handled(handled) = refuses.run_once(10).await? else { panic!("it must run") };
    assert_eq!((handled.events, handled.parked, handled.checkpoint), (3, 1, 3));
    assert_eq!(scene.traced("subscription_parked").await?, 1);
    run_to_end(&scene.steps(Counts("other"))?, 10).await?;
    assert_eq!((scene.counted("counts").await?, scene.counted("other").await?), ((2, 2), (3, 3)));
    assert_eq!((scene.count("parked_events").await?, scene.count("order_summary").await?), (0, 3));

    let parked_again = BatchOutcome::Committed { applied: 0, parked: 1, waiting: 0 };
    assert_eq!(refuses.retry_parked_once(10).await?, parked_again);
    let row = "SELECT subscription, position, attempts, error FROM subscription_parked";
    let row = scene.session.query_one(row, &[]).await?;
    let (subscription, position, attempts, error): (&str, i64, i32, &str) =
        (row.get(0), row.get(1), row.get(2), row.get(3));
    assert_eq!((subscription, position, attempts, error), ("counts", 2, 2, "counts: not this one"));

    // As after the deployment of a build that accepts it.
    let accepts = scene.steps_with_retries(Counts("counts"), AT_ONCE)?;
    assert_eq!(
        accepts.retry_parked_once(10).await?,
        BatchOutcome::Committed { applied: 1, parked: 0, waiting: 0 }
    );
    assert_eq!((scene.counted("counts").await?, scene.count("subscription_parked").await?), ((3, 3), 0));
    Ok(())
}

#[tokio::test]
async fn an_event_that_postgresql_refuses_is_parked_and_its_neighbours_are_applied() -> Result<()> {
    let scene = scene(5).await?;
    let check = "ALTER TABLE counts ADD CHECK (order_id <> '00000000-0000-0000-0000-000000000003')";
    scene.session.batch_execute(check).await?;
    let steps = scene.steps_with_retries(Counts("counts"), LATER)?;
    let Progress::Handled(handled) = steps.run_once(10).await? else { panic!("it must run") };
    assert_eq!((handled.events, handled.parked), (5, 1));
    assert_eq!(scene.counted("counts").await?, (4, 4));
    Ok(())
}

#[tokio::test]
async fn a_payload_is_parked_byte_for_byte() -> Result<()> {
    let scene = scene(0).await?;
    let payload = "{\"b\" : 1,\"a\":1e999, \"b\":\"\\ud800\"}";
    scene.emit_raw("order_gift_wrapped", payload).await?;
    scene.log_all().await?;
    run_to_end(&scene.steps(Counts("counts"))?, 10).await?;
    let stored = scene.session.query_one("SELECT payload::text FROM subscription_parked", &[]).await?;
    assert_eq!(stored.get::<_, &str>(0), payload);
    Ok(())
}

#[tokio::test]
async fn an_event_whose_row_is_locked_delays_no_other_and_counts_no_attempt() -> Result<()> {
    let scene = scene(9).await?;
    let steps = scene.steps(Counts("counts"))?;
    run_to_end(&steps, 10).await?;
    let mut holder = scene.database.connect().await?;
    let lock = holder.transaction().await?;
    lock.execute(
        "SELECT FROM counts WHERE order_id = $1::text::uuid FOR UPDATE",
        &[&order_id(4).to_string()],
    )
    .await?;
    let events: Vec<_> = (1..=9).map(|order| event(order, 2)).collect();
    scene.emit_all(&events).await?;
    scene.log_all().await?;
    let Progress::Handled(handled) = steps.run_once(100).await? else { panic!("it must run") };
    assert_eq!((handled.events, handled.parked), (9, 1));
    assert_eq!(scene.counted("counts").await?, (9, 17));
    let attempts = "SELECT attempts, error FROM subscription_parked";
    let row = scene.session.query_one(attempts, &[]).await?;
    assert_eq!((row.get::<_, i32>(0), row.get(1)), (0, "another session has locked its row"));

    lock.rollback().await?;
    wait::until("the event to be applied", Duration::from_secs(30), async || {
        match steps.retry_parked_once(10).await {
            Ok(BatchOutcome::Committed { applied: 1, .. }) => Ok(()),
            other => Err(other),
        }
    })
    .await?;
    assert_eq!(scene.counted("counts").await?, (9, 18));
    Ok(())
}

#[tokio::test]
async fn a_paused_subscription_does_not_try_parked_events() -> Result<()> {
    let scene = scene(0).await?;
    scene.emit_raw("order_gift_wrapped", "{}").await?;
    scene.log_all().await?;
    let steps = scene.steps_with_retries(Counts("counts"), AT_ONCE)?;
    run_to_end(&steps, 10).await?;
    scene.session.batch_execute("UPDATE subscriptions SET state = 'paused'").await?;
    assert_eq!(steps.retry_parked_once(10).await?, BatchOutcome::Empty);
    scene.session.batch_execute("UPDATE subscriptions SET state = 'running'").await?;
    assert_eq!(
        steps.retry_parked_once(10).await?,
        BatchOutcome::Committed { applied: 0, parked: 1, waiting: 0 }
    );
    Ok(())
}
