//! What a row says about itself when a fact is filled in, and what a step does not write again.

use anyhow::{Context, Result};
use diesel_async::AsyncPgConnection;
use projector::projection::{OrderSummary, Projection};
use shared_events::{OrderEvent, OrderItem};

use crate::stories::{Story, Writer};
use crate::support::Scene;

/// Transaction, history and version of the only row.
async fn written(scene: &Scene) -> Result<(i64, Option<i64>, i32)> {
    let row = "SELECT changed_in, history, version FROM order_summary WHERE projected_at <= now()";
    let row = scene.session.query_one(row, &[]).await?;
    Ok((row.get(0), row.get(1), row.get(2)))
}

async fn apply(connection: &mut AsyncPgConnection, event: OrderEvent) -> Result<()> {
    Ok(OrderSummary.apply(connection, &[&event]).await?)
}

/// Streams send the rows that a transaction has changed, and resume behind it.
#[tokio::test]
async fn a_row_into_which_an_older_version_fills_a_fact_is_changed_and_keeps_its_version() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let story = Story::new(1);
    apply(&mut connection, story.decoded(3, false, Writer::WithoutItems)?).await?;
    // As in a row that another server wrote before it was restored here.
    scene.session.batch_execute("UPDATE order_summary SET history = -1, projected_at = '2026-01-01'").await?;
    let before = written(&scene).await?;

    apply(&mut connection, story.decoded(2, false, Writer::Older)?).await?;
    assert_eq!(written(&scene).await?, before, "nothing was missing");

    apply(&mut connection, story.decoded(1, false, Writer::Older)?).await?;
    let after = written(&scene).await?;
    assert!(after.0 > before.0, "{after:?}, {before:?}");
    let history: i64 = scene.session.query_one("SELECT current_history()", &[]).await?.get(0);
    assert_eq!((after.1, after.2), (Some(history), 3));
    let is_new = "SELECT items IS NOT NULL AND projected_at > '2026-01-02' FROM order_summary";
    assert!(scene.session.query_one(is_new, &[]).await?.get::<_, bool>(0));
    Ok(())
}

/// The values that are out of line, each with the transaction that wrote it.
async fn out_of_line(scene: &Scene) -> Result<Vec<String>> {
    let table = "SELECT reltoastrelid::regclass::text FROM pg_class WHERE oid = 'order_summary'::regclass";
    let table: String = scene.session.query_one(table, &[]).await?.get(0);
    let chunks = format!("SELECT concat_ws(' ', chunk_id, chunk_seq, xmin) FROM {table} ORDER BY 1");
    Ok(scene.session.query(&chunks, &[]).await?.iter().map(|row| row.get(0)).collect())
}

#[tokio::test]
async fn a_step_writes_the_items_of_a_large_order_no_second_time() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let items: Vec<_> = (0..50)
        .map(|item| OrderItem { sku: format!("SKU-{item:05}"), quantity: 1, price_cents: 100 })
        .collect();
    let event = |version, items: Option<&Vec<OrderItem>>| {
        let mut event = Story::new(1).event(version, false);
        event.facts.items = items.cloned();
        event
    };
    apply(&mut connection, event(1, Some(&items))).await?;
    let placed = out_of_line(&scene).await?;
    assert!(placed.len() > 1, "the items are in the row");
    apply(&mut connection, event(2, Some(&items))).await?;
    apply(&mut connection, event(3, None)).await?;
    assert_eq!(out_of_line(&scene).await?, placed);
    let stored: String = scene.session.query_one("SELECT items::text FROM order_summary", &[]).await?.get(0);
    let stored: Vec<OrderItem> = serde_json::from_str(&stored).context(stored)?;
    assert_eq!(stored, items);
    Ok(())
}
