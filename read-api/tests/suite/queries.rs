//! Lists and single orders.

use anyhow::{Context, Result};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Api, numbers, problem};

#[tokio::test]
async fn a_list_is_sorted_newest_first_and_ties_by_id() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 0), (2, "alice", 5), (4, "alice", 3), (3, "alice", 3), (5, "bob", 4)]).await?;
    let list: Value = api.get("/customers/alice/orders").await?.json().await?;
    assert_eq!(numbers(&list), [2, 4, 3, 1]);
    assert_eq!(
        list["orders"][3],
        json!({
            "order_id": "00000000-0000-0000-0000-000000000001", "customer_id": "alice", "status": "placed",
            "version": 1, "currency": null, "total_cents": 100, "item_count": 2, "last_item_sku": "SKU",
            "placed_at": "2026-11-23T10:00:00.123456Z",
        })
    );
    Ok(())
}

#[tokio::test]
async fn lists_and_streams_show_the_currency() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 0)]).await?;
    api.database.connect().await?.batch_execute("UPDATE order_summary SET currency = 'JPY'").await?;
    for path in ["/customers/alice/orders", "/customers/alice/orders?status=placed", "/orders"] {
        let list: Value = api.get(path).await?.json().await?;
        assert_eq!(list["orders"][0]["currency"], "JPY", "{path}");
    }
    let snapshot = api.watch("alice", None).await?.next().await?.context("no snapshot")?;
    assert_eq!(snapshot.data["orders"][0]["currency"], "JPY");
    Ok(())
}

#[tokio::test]
async fn a_list_shows_no_other_customers_orders() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 0), (2, "Alice", 1), (3, "alice ", 2), (4, "ålice/ö?#%", 3), (5, "%", 4)])
        .await?;
    for (path, expected) in [
        ("/customers/alice/orders", vec![1]),
        ("/customers/Alice/orders", vec![2]),
        ("/customers/alice%20/orders", vec![3]),
        ("/customers/%C3%A5lice%2F%C3%B6%3F%23%25/orders", vec![4]),
        ("/customers/%25/orders", vec![5]),
        ("/customers/nobody/orders", vec![]),
    ] {
        let response = api.get(path).await?;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(numbers(&response.json().await?), expected, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn a_list_has_twenty_orders_unless_limit_is_given() -> Result<()> {
    let api = Api::start().await?;
    let orders: Vec<_> = (1..=110).map(|number| (number, "alice", number)).collect();
    api.insert(&orders).await?;
    for (query, expected) in [("", 20), ("?limit=1", 1), ("?limit=100", 100)] {
        let list: Value = api.get(&format!("/customers/alice/orders{query}")).await?.json().await?;
        let newest: Vec<i64> = (1..=110).rev().take(expected).collect();
        assert_eq!(numbers(&list), newest, "{query:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_order_has_its_version_as_etag() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 0)]).await?;
    api.database
        .connect()
        .await?
        .batch_execute(
            "UPDATE order_summary SET version = 3, status = 'shipped', paid_at = now(), shipped_at = now()",
        )
        .await?;
    let response = api.get("/orders/00000000-0000-0000-0000-000000000001").await?;
    assert_eq!((response.status(), &response.headers()["etag"]), (StatusCode::OK, &"\"3\"".parse()?));
    let order: Value = response.json().await?;
    assert_eq!((&order["status"], &order["version"]), (&json!("shipped"), &json!(3)));

    let response = api.get("/orders/00000000-0000-0000-0000-000000000002").await?;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(problem(response).await?["type"], "/problems/no-such-order");
    Ok(())
}

#[tokio::test]
async fn a_client_that_has_this_version_gets_304_without_a_body() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 0)]).await?;
    let url = format!("{}/orders/00000000-0000-0000-0000-000000000001", api.url);
    let client = reqwest::Client::new();
    for (known, expected) in [
        (r#""1""#, StatusCode::NOT_MODIFIED),
        (r#"W/"1""#, StatusCode::NOT_MODIFIED),
        (r#""7", "1""#, StatusCode::NOT_MODIFIED),
        ("*", StatusCode::NOT_MODIFIED),
        (r#""2""#, StatusCode::OK),
        ("", StatusCode::OK),
        ("1", StatusCode::OK),
    ] {
        let response = client.get(&url).header("if-none-match", known).send().await?;
        assert_eq!(response.status(), expected, "{known}");
        assert_eq!(response.headers()["etag"], "\"1\"", "{known}");
        assert_eq!(response.headers()["cache-control"], "private, no-cache", "{known}");
        assert_eq!(response.bytes().await?.is_empty(), expected == StatusCode::NOT_MODIFIED, "{known}");
    }
    let missing = client.get(format!("{}/orders/{}", api.url, uuid::Uuid::max()));
    let missing = missing.header("if-none-match", "*").send().await?;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    Ok(())
}
