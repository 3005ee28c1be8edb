//! From a checkout's request to a reader's response.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::services::{ServiceBinaries, ServiceKind};
use testkit::wait;
use tokio_postgres::Client;

use crate::support::System;

async fn place(system: &System, customer: &str, quantity: i64) -> Result<Value> {
    let body =
        json!({"customer_id": customer, "items": [{"sku": "A", "quantity": quantity, "price_cents": 100}]});
    let request = reqwest::Client::new().post(format!("{}/orders", system.write.url())).json(&body);
    let response = request.send().await?;
    assert_eq!(response.status(), StatusCode::CREATED);
    Ok(response.json().await?)
}

async fn list(system: &System, customer: &str) -> Result<Vec<Value>> {
    let url = format!("{}/customers/{customer}/orders?limit=100", system.read.url());
    let list: Value = reqwest::get(url).await?.error_for_status()?.json().await?;
    list.get("orders").and_then(Value::as_array).cloned().context("no orders in the response")
}

async fn wait_for_orders(system: &System, customer: &str, count: usize) -> Result<Vec<Value>> {
    let orders = wait::until("the orders to be visible", Duration::from_secs(30), || async {
        let orders = list(system, customer).await.map_err(|error| format!("{error:#}"))?;
        if orders.len() >= count { Ok(orders) } else { Err(format!("{} orders", orders.len())) }
    });
    Ok(orders.await?)
}

/// The number of missing, extra and different orders in the read model.
async fn differences(session: &Client) -> Result<i64> {
    let differences = "SELECT count(*) FROM orders o FULL JOIN order_summary s USING (order_id)
        WHERE (o.customer_id, o.total_cents, o.status, o.version, o.placed_at,
               jsonb_array_length(o.items), o.items->-1->>'sku')
              IS DISTINCT FROM
              (s.customer_id, s.total_cents, s.status, s.version, s.placed_at, s.item_count, s.last_item_sku)";
    Ok(session.query_one(differences, &[]).await?.get(0))
}

#[tokio::test]
async fn a_reader_sees_a_placed_order_as_the_checkout_got_it() -> Result<()> {
    let system = System::start().await?;
    let _projector = system.start_projector().await?;
    let mut placed = place(&system, "alice", 3).await?;
    placed["last_item_sku"] = json!("A");
    placed["currency"] = Value::Null;
    assert_eq!(wait_for_orders(&system, "alice", 1).await?, [placed]);
    Ok(())
}

#[tokio::test]
async fn a_killed_projector_loses_and_repeats_nothing() -> Result<()> {
    let system = System::start().await?;
    let total = 60;
    let mut projector = system.start_projector().await?;
    for number in 1..=total {
        place(&system, "alice", number).await?;
        if number % 20 == 0 {
            projector.kill();
            projector = system.start_projector().await?;
        }
    }
    let orders = wait_for_orders(&system, "alice", usize::try_from(total)?).await?;
    let totals: Vec<_> = orders.iter().map(|order| order["total_cents"].clone()).collect();
    let newest_first: Vec<_> = (1..=total).rev().map(|number| json!(number * 100)).collect();
    assert_eq!(totals, newest_first, "each order exactly once");

    let session = system.database.connect().await?;
    assert_eq!(differences(&session).await?, 0, "I6");
    for table in ["outbox", "waiting_events", "parked_events"] {
        let left: i64 = session.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await?.get(0);
        assert_eq!(left, 0, "{table}");
    }
    Ok(())
}

#[tokio::test]
async fn several_projectors_at_once_apply_each_event_once() -> Result<()> {
    let system = System::start().await?;
    let _projectors =
        (system.start_projector().await?, system.start_projector().await?, system.start_projector().await?);
    for number in 1..=30 {
        place(&system, "alice", number).await?;
    }
    assert_eq!(wait_for_orders(&system, "alice", 30).await?.len(), 30);
    Ok(())
}

#[tokio::test]
async fn orders_placed_without_a_projector_appear_afterwards() -> Result<()> {
    let system = System::start().await?;
    for number in 1..=5 {
        place(&system, "alice", number).await?;
    }
    assert_eq!(list(&system, "alice").await?, Vec::<Value>::new());
    let _projector = system.start_projector().await?;
    assert_eq!(wait_for_orders(&system, "alice", 5).await?.len(), 5);
    Ok(())
}

#[tokio::test]
async fn a_damaged_read_model_is_repaired_at_runtime() -> Result<()> {
    let system = System::start().await?;
    let _projector = system.start_projector().await?;
    for number in 1..=20 {
        place(&system, "alice", number).await?;
    }
    wait_for_orders(&system, "alice", 20).await?;
    let session = system.database.connect().await?;
    session.batch_execute("DELETE FROM order_summary WHERE total_cents % 400 = 0").await?;
    session
        .batch_execute(
            "UPDATE order_summary SET total_cents = 7, status = 'paid' WHERE total_cents % 300 = 0",
        )
        .await?;
    assert_eq!(differences(&session).await?, 10);

    let mut republish =
        tokio::process::Command::new(ServiceBinaries::built().await?.program(ServiceKind::WriteApi));
    republish
        .args(["republish", "--batch", "3"])
        .env("DATABASE_URL", system.database.url("orders_write_api"));
    let placing = async {
        for number in 21..=40 {
            place(&system, "alice", number).await?;
        }
        anyhow::Ok(())
    };
    let (republished, placed) = tokio::join!(republish.output(), placing);
    placed?;
    assert!(republished?.status.success());
    wait_for_orders(&system, "alice", 40).await?;
    wait::until("the read model to be whole", Duration::from_secs(30), || async {
        let found = differences(&session).await;
        if matches!(found, Ok(0)) { Ok(()) } else { Err(found) }
    })
    .await?;
    Ok(())
}
