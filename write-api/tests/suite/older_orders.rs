//! Orders that are older than some rules are read, changed and republished like all others.

use std::process::Command;

use anyhow::Result;
use reqwest::StatusCode;
use serde_json::{Value, json};
use shared_events::OrderEvent;
use uuid::Uuid;

use crate::support::Api;

/// Customer, SKU, and price of one item, as earlier versions of the service accepted them.
const ORDERS: [(&str, &str, i64); 6] = [
    ("alice", "A", 9_007_199_254_740_992),
    ("alice", "A", i64::MAX),
    (" alice", "A\u{3000}", 1),
    ("\u{a0}", " ", 1),
    (".", "A", 1),
    ("..", "A", 1),
];

#[tokio::test]
async fn an_order_older_than_the_rules_takes_steps_and_is_republished() -> Result<()> {
    let api = Api::start().await?;
    let session = api.database.connect().await?;
    session
        .batch_execute(
            "ALTER TABLE orders DROP CONSTRAINT IF EXISTS orders_total_exact;
             ALTER TABLE orders DROP CONSTRAINT IF EXISTS orders_customer_id_addressable",
        )
        .await?;
    for (customer, sku, price) in ORDERS {
        let order_id = Uuid::now_v7();
        let items = json!([{"sku": sku, "quantity": 1, "price_cents": price}]).to_string();
        let insert = "INSERT INTO orders VALUES
                      ($1::text::uuid, $2, $3::text::jsonb, $4, 'placed', 1, '2026-01-01', '2026-01-01')";
        session.execute(insert, &[&order_id.to_string(), &customer, &items, &price]).await?;

        let paid = api.step(&order_id.to_string(), "pay").await?;
        assert_eq!(paid.status(), StatusCode::OK, "{customer:?}");
        let paid: Value = paid.json().await?;
        assert_eq!(paid["total_cents"], json!(price));

        let republish = Command::new(env!("CARGO_BIN_EXE_write-api"))
            .args(["republish", "--order-id", &order_id.to_string(), "--customer", customer])
            .env("DATABASE_URL", api.database.url("orders_write_api"))
            .output()?;
        assert!(republish.status.success(), "{}", String::from_utf8_lossy(&republish.stderr));

        let events =
            "SELECT kind, payload::text FROM outbox WHERE payload->'order'->>'order_id' = $1 ORDER BY id";
        let events = session.query(events, &[&order_id.to_string()]).await?;
        let kinds: Vec<&str> = events.iter().map(|row| row.get(0)).collect();
        assert_eq!(kinds, ["order_paid", "order_republished"], "{customer:?}");
        for row in events {
            let order = OrderEvent::decode(row.get(0), row.get(1))?.order;
            assert_eq!((order.customer_id.as_str(), order.last_item_sku.as_str()), (customer, sku));
            assert_eq!(order.total_cents, price);
        }
    }
    Ok(())
}
