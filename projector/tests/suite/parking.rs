//! Events that cannot be projected are parked; all others are applied.

use anyhow::Result;
use projector::batch::BatchOutcome;
use serde_json::{Value, json};
use service_kit::database::DatabaseConfig;
use service_kit::telemetry::chain;
use shared_events::OrderEvent;

use crate::support::{Scene, Worker, drain, event, order_id};

/// Kind, payload, attempts and error of each parked event.
async fn parked(scene: &Scene) -> Result<Vec<(String, Value, i32, String)>> {
    let rows = "SELECT kind, payload::text, attempts, error FROM parked_events ORDER BY id";
    let rows = scene.session.query(rows, &[]).await?;
    rows.iter()
        .map(|row| Ok((row.get(0), serde_json::from_str(row.get(1))?, row.get(2), row.get(3))))
        .collect()
}

#[tokio::test]
async fn an_event_that_cannot_be_decoded_is_parked_with_its_payload_and_reason() -> Result<()> {
    let scene = Scene::create().await?;
    scene.emit([event(1, 1)]).await?;
    scene.emit_raw("order_gift_wrapped", r#"{"ribbon": "red"}"#).await?;
    scene.emit_raw("order_paid", r#"{"schema_version": 99}"#).await?;
    scene.emit_raw("order_paid", "[]").await?;
    scene.emit([event(2, 1)]).await?;

    assert_eq!(
        scene.worker(10)?.run_once().await?,
        BatchOutcome::Committed { applied: 2, parked: 3, waiting: 0 }
    );
    assert_eq!((scene.count("outbox").await?, scene.count("order_summary").await?), (0, 2));
    let parked = parked(&scene).await?;
    let expected = [
        ("order_gift_wrapped", json!({"ribbon": "red"}), "the kind is not known"),
        ("order_paid", json!({"schema_version": 99}), "schema_version 99 is newer than 1"),
        ("order_paid", json!([]), "the payload is malformed"),
    ];
    assert_eq!(parked.len(), expected.len());
    for ((kind, payload, attempts, error), (expected_kind, expected_payload, reason)) in
        parked.iter().zip(expected)
    {
        assert_eq!((kind.as_str(), payload, *attempts), (expected_kind, &expected_payload, 1));
        assert!(error.starts_with(reason), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn an_event_that_postgresql_refuses_is_parked_alone() -> Result<()> {
    let scene = Scene::create().await?;
    let mut refused = event(2, 1);
    refused.order.total_cents = -1;
    scene.emit([event(1, 1), refused, event(3, 1), event(1, 2)]).await?;

    assert_eq!(drain(&*scene.worker(10)?).await?, (3, 1));
    let summaries: Vec<_> =
        scene.summaries().await?.into_iter().map(|(id, version, _)| (id, version)).collect();
    assert_eq!(summaries, [(order_id(1).to_string(), 2), (order_id(3).to_string(), 1)]);
    let parked = parked(&scene).await?;
    assert_eq!((parked.len(), &parked[0].1["order"]["total_cents"]), (1, &json!(-1)));
    assert!(parked[0].3.contains("order_summary_total_not_negative"), "{}", parked[0].3);
    Ok(())
}

#[tokio::test]
async fn a_failing_database_parks_nothing() -> Result<()> {
    let scene = Scene::create().await?;
    scene.emit([event(1, 1)]).await?;
    scene.session.batch_execute("REVOKE INSERT ON order_summary FROM orders_projection").await?;
    let worker = scene.worker(10)?;
    worker.run_once().await.unwrap_err();
    assert_eq!((scene.count("outbox").await?, scene.count("parked_events").await?), (1, 0));
    scene.session.batch_execute("GRANT INSERT ON order_summary TO orders_projection").await?;
    assert_eq!(worker.run_once().await?, BatchOutcome::Committed { applied: 1, parked: 0, waiting: 0 });
    Ok(())
}

/// A trigger that refuses orders of 666 cents, with an error that diesel-async reports without its SQLSTATE.
pub(crate) const REFUSE_666: &str = "
    CREATE FUNCTION refuse_666() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.total_cents = 666 THEN
            RAISE EXCEPTION 'no order of 666' USING ERRCODE = 'data_exception';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER refuse_666 BEFORE INSERT ON order_summary FOR EACH ROW EXECUTE FUNCTION refuse_666()";

pub(crate) fn refused_by_trigger(order: u128) -> OrderEvent {
    let mut refused = event(order, 1);
    refused.order.total_cents = 666;
    refused
}

#[tokio::test]
async fn events_refused_with_an_error_without_a_code_are_isolated_and_parked_while_the_database_works()
-> Result<()> {
    let scene = Scene::create().await?;
    scene.session.batch_execute(REFUSE_666).await?;
    let events = (1..=200).map(|order| {
        if [3, 64, 65, 200].contains(&order) { refused_by_trigger(order) } else { event(order, 1) }
    });
    scene.emit_all(&events.collect::<Vec<_>>()).await?;

    assert_eq!(
        scene.worker(1_000)?.run_once().await?,
        BatchOutcome::Committed { applied: 196, parked: 4, waiting: 0 }
    );
    assert_eq!((scene.count("outbox").await?, scene.count("order_summary").await?), (0, 196));
    let parked = parked(&scene).await?;
    assert!(parked.iter().all(|(.., error)| error == "order_summary: no order of 666"), "{parked:?}");
    Ok(())
}

#[tokio::test]
async fn a_batch_of_refused_events_only_is_parked() -> Result<()> {
    let scene = Scene::create().await?;
    scene.session.batch_execute(REFUSE_666).await?;
    scene.emit((1..=5).map(refused_by_trigger)).await?;
    assert_eq!(
        scene.worker(1_000)?.run_once().await?,
        BatchOutcome::Committed { applied: 0, parked: 5, waiting: 0 }
    );
    assert_eq!(scene.count("order_summary").await?, 0, "the control was not rolled back");
    Ok(())
}

#[tokio::test]
async fn a_reason_with_a_character_that_cannot_be_stored_is_kept_escaped() -> Result<()> {
    let scene = Scene::create().await?;
    let mut odd: Value = serde_json::from_str(&event(1, 1).encode()?.payload)?;
    odd["order"]["status"] = json!("pla\u{0}ced\n\u{1b}[31m");
    scene.emit_raw("order_placed", &odd.to_string()).await?;
    odd["order"]["status"] = json!("placed");
    odd["order"]["last_item_sku"] = json!("s\u{0}");
    scene.emit_raw("order_placed", &odd.to_string()).await?;
    scene.emit([event(2, 1)]).await?;
    assert_eq!(
        scene.worker(10)?.run_once().await?,
        BatchOutcome::Committed { applied: 1, parked: 2, waiting: 0 }
    );
    let found = &scene.session.query("SELECT error FROM parked_events ORDER BY id", &[]).await?;
    let error: &str = found[0].get(0);
    assert!(error.contains(r"pla\u{0}ced\n\u{1b}[31m"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_mistake_in_the_schema_is_an_outage_and_parks_nothing() -> Result<()> {
    let scene = Scene::create().await?;
    scene.emit((1..=3).map(|order| event(order, 1))).await?;
    scene.session.batch_execute("ALTER TABLE order_summary ADD COLUMN forgotten int NOT NULL").await?;
    let worker = scene.worker(10)?;
    worker.run_once().await.unwrap_err();
    assert_eq!((scene.count("outbox").await?, scene.count("parked_events").await?), (3, 0));
    scene.session.batch_execute("ALTER TABLE order_summary DROP COLUMN forgotten").await?;
    assert_eq!(drain(&worker).await?, (3, 0));
    Ok(())
}

#[tokio::test]
async fn a_statement_timeout_is_an_outage_whichever_limit_is_the_shorter() -> Result<()> {
    let scene = Scene::create().await?;
    let mut vars = scene.vars();
    vars.push(("DATABASE_STATEMENT_TIMEOUT_MS".to_owned(), "200".to_owned()));
    let database = DatabaseConfig::from_vars(&vars)?.open("test")?;
    let worker = Worker::new(database, projector::projections(), 10);
    scene.emit([event(1, 1)]).await?;
    drain(&worker).await?;
    scene.emit([event(1, 2)]).await?;
    let mut holder = scene.database.connect().await?;
    let lock = holder.transaction().await?;
    lock.batch_execute("LOCK TABLE order_summary").await?;
    let error = worker.run_once().await.unwrap_err();
    assert!(chain(&error).contains("statement timeout"), "{error:?}");
    assert_eq!(scene.count("parked_events").await?, 0);
    lock.rollback().await?;
    assert_eq!(drain(&worker).await?, (1, 0));
    Ok(())
}

#[tokio::test]
async fn an_event_whose_id_was_used_before_is_parked_in_addition_to_the_other() -> Result<()> {
    let scene = Scene::create().await?;
    for round in 0..3 {
        // A new worker: the low-water mark of the old one may be above these ids.
        let worker = scene.worker(10)?;
        scene.session.batch_execute("SELECT setval('outbox_id_seq', 1, false)").await?;
        scene.emit_raw("order_gift_wrapped", &json!({"round": round, "event": 1}).to_string()).await?;
        scene.emit_raw("order_gift_wrapped", &json!({"round": round, "event": 2}).to_string()).await?;
        assert_eq!(drain(&worker).await?, (0, 2));
    }
    let rows = scene.session.query("SELECT id FROM parked_events ORDER BY id", &[]).await?;
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<i64>>(), [-4, -3, -2, -1, 1, 2]);
    assert_eq!(scene.session.query("SELECT DISTINCT payload::text FROM parked_events", &[]).await?.len(), 6);
    Ok(())
}

#[tokio::test]
async fn a_long_reason_is_cut() -> Result<()> {
    let scene = Scene::create().await?;
    scene.emit_raw("order_paid", &json!({"order": "x".repeat(100_000)}).to_string()).await?;
    scene.worker(10)?.run_once().await?;
    let parked = parked(&scene).await?;
    assert!(parked[0].3.chars().count() <= 2_000, "{} characters", parked[0].3.len());
    Ok(())
}
