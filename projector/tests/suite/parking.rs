//! Events that cannot be projected step aside; their neighbours go on.

use anyhow::Result;
use projector::drain::BatchOutcome;
use serde_json::{Value, json};

use crate::support::{Scene, drain, event, order_id};

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

    assert_eq!(scene.worker(10)?.run_once().await?, BatchOutcome::Drained { applied: 2, parked: 3 });
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
    scene.session.batch_execute("REVOKE INSERT ON order_summary FROM orders_projector").await?;
    let worker = scene.worker(10)?;
    worker.run_once().await.unwrap_err();
    assert_eq!((scene.count("outbox").await?, scene.count("parked_events").await?), (1, 0));
    scene.session.batch_execute("GRANT INSERT ON order_summary TO orders_projector").await?;
    assert_eq!(worker.run_once().await?, BatchOutcome::Drained { applied: 1, parked: 0 });
    Ok(())
}
