//! Constraints that PostgreSQL checks at the commit.

use anyhow::Result;
use diesel_async::RunQueryDsl;
use projector::batch::BatchOutcome;
use shared_events::OrderEvent;

use crate::parking::{REFUSE_666, refused_by_trigger};
use crate::support::{Scene, Worker, drain, event};

const TRIGGER: &str = "
    DROP TRIGGER refuse_666 ON order_summary;
    CREATE CONSTRAINT TRIGGER refuse_666 AFTER INSERT OR UPDATE ON order_summary
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_666()";
const UNIQUE: &str = "
    ALTER TABLE order_summary ADD CONSTRAINT one_total UNIQUE (customer_id, total_cents) DEFERRABLE INITIALLY DEFERRED";
const FOREIGN_KEY: &str = "
    CREATE TABLE customers (id text PRIMARY KEY);
    INSERT INTO customers VALUES ('customer'), ('control');
    ALTER TABLE order_summary ADD CONSTRAINT customer_known FOREIGN KEY (customer_id) REFERENCES customers
        DEFERRABLE INITIALLY DEFERRED";

fn with_total(order: u128, total_cents: i64) -> OrderEvent {
    let mut event = event(order, 1);
    event.order.total_cents = total_cents;
    event
}

fn of_customer(order: u128, customer_id: &str) -> OrderEvent {
    let mut event = event(order, 1);
    event.order.customer_id = customer_id.into();
    event
}

#[tokio::test]
async fn an_event_that_would_be_refused_at_the_commit_is_parked_alone() -> Result<()> {
    let trigger = format!("{REFUSE_666}; {TRIGGER}");
    for (name, constraint, events) in [
        ("trigger", trigger.as_str(), [event(1, 1), refused_by_trigger(2), event(3, 1)]),
        ("unique", UNIQUE, [with_total(1, 1), with_total(2, 1), with_total(3, 2)]),
        ("foreign key", FOREIGN_KEY, [event(1, 1), of_customer(2, "nobody"), event(3, 1)]),
    ] {
        let scene = Scene::create().await?;
        scene.session.batch_execute(constraint).await?;
        scene.emit_all(&events).await?;
        let worker = scene.worker(10)?;
        assert_eq!(drain(&worker).await?, (2, 1), "{name}");
        // Also a later one, while the batch is applied in parts.
        scene
            .emit_all(&events.clone().map(|mut event| {
                event.order.version = 2;
                event
            }))
            .await?;
        assert_eq!(drain(&worker).await?, (2, 1), "{name}");
        assert_eq!(
            (scene.count("order_summary").await?, scene.count("parked_events").await?),
            (2, 2),
            "{name}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn an_event_is_parked_although_the_controls_together_break_a_constraint() -> Result<()> {
    let scene = Scene::create().await?;
    let one_order_each = "ALTER TABLE order_summary ADD CONSTRAINT one_order_each UNIQUE (customer_id)";
    scene.session.batch_execute(&format!("{REFUSE_666}; {one_order_each}")).await?;
    scene.emit([refused_by_trigger(1), event(2, 1)]).await?;
    assert_eq!(drain(&*scene.worker(10)?).await?, (1, 1));
    Ok(())
}

#[tokio::test]
async fn a_constraint_added_while_the_projector_runs_is_noticed_after_the_first_failure() -> Result<()> {
    let scene = Scene::create().await?;
    let worker = scene.worker(10)?;
    scene.emit([event(1, 1)]).await?;
    drain(&worker).await?;
    scene.session.batch_execute(&format!("{REFUSE_666}; {TRIGGER}")).await?;
    scene.emit([refused_by_trigger(2), event(3, 1)]).await?;
    worker.run_once().await.unwrap_err();
    assert_eq!(worker.run_once().await?, BatchOutcome::Committed { applied: 1, parked: 1, waiting: 0 });
    Ok(())
}

#[derive(diesel::QueryableByName)]
struct Uses {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    uses: i64,
}

#[tokio::test]
async fn without_deferrable_constraints_batches_cost_no_further_statement() -> Result<()> {
    let scene = Scene::create().await?;
    let database = scene.open_one()?;
    let worker = Worker::new(database.clone(), projector::projections(), 1);
    scene.emit((1..=5).map(|order| event(order, 1))).await?;
    drain(&worker).await?;
    let mut connection = database.session().await?;
    let uses = "SELECT (generic_plans + custom_plans)::bigint AS uses FROM pg_prepared_statements
                WHERE statement LIKE '-- has_deferrable_constraints%'";
    let uses: Vec<Uses> = diesel::sql_query(uses).load(&mut connection).await?;
    assert_eq!(uses.iter().map(|row| row.uses).collect::<Vec<_>>(), [1], "queried once");
    Ok(())
}
