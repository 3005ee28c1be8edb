//! `GET /orders/{order_id}`: everything that is known of an order, and its `ETag`.

use anyhow::Result;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::support::{Api, order};

const NOVEMBER: &str = "2026-11-23T10:00:00.123456Z";

async fn get(api: &Api, number: i32, known: Option<&str>) -> Result<Response> {
    let mut request = reqwest::Client::new().get(format!("{}{}", api.url, order(number)));
    if let Some(etag) = known {
        request = request.header("if-none-match", etag);
    }
    Ok(request.send().await?)
}

/// An order that was paid, shipped and delivered, and that is known completely.
async fn with_delivered_order() -> Result<Api> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 0)]).await?;
    let update = "UPDATE order_summary SET status = 'delivered', version = 4, currency = 'EUR', carrier = 'DHL',
            tracking_number = '123', paid_at = placed_at + interval '1 s', shipped_at = placed_at + interval '2 s',
            delivered_at = placed_at + interval '3 s'";
    api.database.connect().await?.batch_execute(update).await?;
    Ok(api)
}

#[tokio::test]
async fn an_order_shows_everything_that_is_known_of_it() -> Result<()> {
    let api = with_delivered_order().await?;
    let response = get(&api, 1, None).await?;
    assert_eq!(response.headers()["etag"], "\"4\"");
    let shown: Value = response.json().await?;
    let items = [
        json!({"sku": "A", "quantity": 1, "price_cents": 1}),
        json!({"sku": "SKU", "quantity": 1, "price_cents": 1}),
    ];
    let expected = json!({
        "order_id": "00000000-0000-0000-0000-000000000001", "customer_id": "alice", "status": "delivered",
        "version": 4, "currency": "EUR", "total_cents": 100, "item_count": 2, "last_item_sku": "SKU",
        "items": items, "carrier": "DHL", "tracking_number": "123", "cancel_reason": null,
        "placed_at": NOVEMBER, "paid_at": "2026-11-23T10:00:01.123456Z",
        "shipped_at": "2026-11-23T10:00:02.123456Z", "delivered_at": "2026-11-23T10:00:03.123456Z",
        "cancelled_at": null, "updated_at": "2026-11-23T10:00:03.123456Z",
    });
    assert_eq!(shown, expected);
    Ok(())
}

#[tokio::test]
async fn an_order_was_last_updated_by_the_step_that_led_to_its_status() -> Result<()> {
    let api = with_delivered_order().await?;
    let session = api.database.connect().await?;
    session.batch_execute("UPDATE order_summary SET cancelled_at = placed_at + interval '4 s'").await?;
    for (status, field) in [
        ("placed", "placed_at"),
        ("paid", "paid_at"),
        ("shipped", "shipped_at"),
        ("delivered", "delivered_at"),
        ("cancelled", "cancelled_at"),
    ] {
        session.execute("UPDATE order_summary SET status = $1", &[&status]).await?;
        let shown: Value = get(&api, 1, None).await?.json().await?;
        assert_eq!(shown["updated_at"], shown[field], "{status}");
        assert!(shown["updated_at"].is_string(), "{status}");
    }
    Ok(())
}

#[tokio::test]
async fn an_order_from_before_the_upgrade_is_shown_with_nulls() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 0)]).await?;
    let session = api.database.connect().await?;
    session.batch_execute("UPDATE order_summary SET items = NULL, status = 'paid', version = 2").await?;
    let response = get(&api, 1, None).await?;
    assert_eq!((response.status(), response.headers().get("etag")), (StatusCode::OK, None));
    let expected = json!({
        "order_id": "00000000-0000-0000-0000-000000000001", "customer_id": "alice", "status": "paid",
        "version": 2, "currency": null, "total_cents": 100, "item_count": 2, "last_item_sku": "SKU",
        "items": null, "carrier": null, "tracking_number": null, "cancel_reason": null,
        "placed_at": NOVEMBER, "paid_at": null, "shipped_at": null, "delivered_at": null,
        "cancelled_at": null, "updated_at": null,
    });
    assert_eq!(response.json::<Value>().await?, expected);
    Ok(())
}

/// A client that had got an `ETag` for the incomplete order would keep it incomplete for good: 304.
#[tokio::test]
async fn an_order_that_may_get_more_facts_without_a_new_version_has_no_etag_and_is_never_304() -> Result<()> {
    let api = with_delivered_order().await?;
    let session = api.database.connect().await?;
    for fact in ["items", "paid_at", "shipped_at", "delivered_at"] {
        let forget = format!(
            "CREATE TABLE known AS SELECT {fact} FROM order_summary;
             UPDATE order_summary SET {fact} = NULL"
        );
        session.batch_execute(&forget).await?;
        for known in [None, Some("\"4\""), Some("*")] {
            let response = get(&api, 1, known).await?;
            assert_eq!(response.status(), StatusCode::OK, "{fact} {known:?}");
            assert_eq!(response.headers().get("etag"), None, "{fact} {known:?}");
            assert_eq!(response.json::<Value>().await?[fact], Value::Null, "{fact} {known:?}");
        }
        let learn = format!("UPDATE order_summary SET {fact} = (SELECT {fact} FROM known); DROP TABLE known");
        session.batch_execute(&learn).await?;
        let response = get(&api, 1, Some("\"4\"")).await?;
        assert_eq!(
            (response.status(), &response.headers()["etag"]),
            (StatusCode::NOT_MODIFIED, &"\"4\"".parse()?)
        );
    }
    Ok(())
}

#[tokio::test]
async fn items_are_shown_as_they_were_stored_however_many() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 0), (2, "alice", 1)]).await?;
    let session = api.database.connect().await?;
    let many = "UPDATE order_summary SET items = (
            SELECT json_agg(json_build_object('sku', 'é\"' || n, 'quantity', n, 'price_cents', 9007199254740991))
            FROM generate_series(1, 1000) AS n)
        WHERE total_cents = 100
        RETURNING items::text";
    let stored: String = session.query_one(many, &[]).await?.get(0);
    let shown = get(&api, 1, None).await?.text().await?;
    assert!(shown.contains(&format!("\"items\":{stored},")), "{shown:.300}");
    Ok(())
}
