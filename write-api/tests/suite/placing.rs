//! Orders that are accepted.

use anyhow::Result;
use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use serde_json::{Value, json};
use shared_events::{OrderChange, OrderEvent, OrderFacts, OrderItem, OrderStatus};
use uuid::{Uuid, Variant};

use crate::support::{Api, header, order, problem};

#[tokio::test]
async fn the_response_to_a_placed_order_has_its_location_version_and_total() -> Result<()> {
    let api = Api::start().await?;
    let response = api.place(&order()).await?;

    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(header(&response, "etag"), Some("\"1\""));
    assert_eq!(header(&response, "idempotent-replayed"), None);
    let location = header(&response, "location").unwrap().to_owned();
    let body: Value = response.json().await?;
    let order_id: Uuid = body["order_id"].as_str().unwrap().parse()?;
    assert_eq!(location, format!("/orders/{order_id}"));
    assert_eq!((order_id.get_version_num(), order_id.get_variant()), (8, Variant::RFC4122), "{order_id}");
    let placed_at: DateTime<Utc> = body["placed_at"].as_str().unwrap().parse()?;
    let first_bits = i64::try_from(order_id.as_u128() >> 80)?;
    assert_eq!(first_bits, placed_at.timestamp_millis(), "an id without a key sorts by time");
    assert!((Utc::now() - placed_at).num_seconds().abs() < 60);
    assert_eq!(
        body,
        json!({
            "order_id": order_id, "customer_id": "customer-7", "status": "placed", "version": 1,
            "total_cents": 4_498, "item_count": 2, "placed_at": body["placed_at"],
        })
    );
    Ok(())
}

#[tokio::test]
async fn the_order_and_its_event_are_stored_and_agree() -> Result<()> {
    let api = Api::start().await?;
    let mut order = order();
    order["currency"] = json!("EUR");
    let body: Value = api.place(&order).await?.json().await?;
    let session = api.database.connect().await?;

    let row = session
        .query_one(
            "SELECT order_id::text, customer_id, items::text, total_cents, status, version, placed_at = updated_at,
                    currency
             FROM orders",
            &[],
        )
        .await?;
    let order_id: Uuid = row.get::<_, String>(0).parse()?;
    assert_eq!(body["order_id"], order_id.to_string());
    assert_eq!(
        (row.get(1), row.get(3), row.get(4), row.get(5), row.get(6)),
        ("customer-7", 4_498_i64, "placed", 1, true)
    );
    assert_eq!(row.get::<_, Option<&str>>(7), Some("EUR"));

    let row = session.query_one("SELECT kind, payload::text FROM outbox", &[]).await?;
    let event = OrderEvent::decode(row.get(0), row.get(1))?;
    assert_eq!((event.order.order_id, event.order.version), (order_id, 1));
    assert_eq!((event.order.total_cents, event.order.item_count), (4_498, 2));
    assert_eq!((event.order.status, event.order.last_item_sku.as_str()), (OrderStatus::Placed, "BLUE"));
    assert_eq!(serde_json::to_value(event.order.placed_at)?, body["placed_at"]);
    let items = vec![
        OrderItem { sku: "RED".to_owned(), quantity: 2, price_cents: 1_999 },
        OrderItem { sku: "BLUE".to_owned(), quantity: 1, price_cents: 500 },
    ];
    let facts = OrderFacts { items: Some(items), currency: Some("EUR".to_owned()), ..OrderFacts::default() };
    assert_eq!((event.change, event.facts), (OrderChange::Placed, facts));
    Ok(())
}

#[tokio::test]
async fn a_repeat_with_the_same_id_gets_the_same_response_and_stores_nothing() -> Result<()> {
    let api = Api::start().await?;
    let mut order = order();
    order["order_id"] = json!(Uuid::now_v7());
    let first = api.place(&order).await?;
    assert_eq!((first.status(), header(&first, "idempotent-replayed")), (StatusCode::CREATED, None));
    let first = first.bytes().await?;
    // Even after later steps.
    api.database.connect().await?.batch_execute("UPDATE orders SET status = 'paid', version = 2").await?;

    let second = api.place(&order).await?;
    assert_eq!((second.status(), header(&second, "etag")), (StatusCode::CREATED, Some("\"1\"")));
    assert_eq!(header(&second, "idempotent-replayed"), Some("true"));
    assert_eq!(second.bytes().await?, first);
    assert_eq!(api.stored().await?, (1, 1));
    Ok(())
}

#[tokio::test]
async fn a_different_order_with_a_used_id_is_refused_and_changes_nothing() -> Result<()> {
    let api = Api::start().await?;
    let mut order = order();
    order["order_id"] = json!(Uuid::now_v7());
    api.place(&order).await?;
    let other_contents = [
        ("/customer_id", json!("somebody else")),
        ("/items/0/quantity", json!(3)),
        ("/items/1/sku", json!("GREEN")),
    ];
    for (pointer, value) in other_contents {
        let mut changed = order.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        let response = api.place(&changed).await?;
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY, "{pointer}");
        let problem = problem(response).await?;
        assert_eq!(problem["type"], "/problems/order-id-taken");
        // Nothing is said about an order of another customer.
        let mut expected = vec![json!("/order_id")];
        expected.extend((pointer != "/customer_id").then(|| json!("/items")));
        assert_eq!(pointers(&problem), expected, "{problem}");
    }
    assert_eq!(api.stored().await?, (1, 1));
    let total: i64 =
        api.database.connect().await?.query_one("SELECT total_cents FROM orders", &[]).await?.get(0);
    assert_eq!(total, 4_498);
    Ok(())
}

fn pointers(problem: &Value) -> Vec<Value> {
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    errors.iter().map(|error| error["pointer"].clone()).collect()
}

#[tokio::test]
async fn a_repeat_with_another_currency_is_refused_and_names_it() -> Result<()> {
    let api = Api::start().await?;
    let of = |currency: &Value, identity: &str| {
        let mut order = order();
        order["currency"] = currency.clone();
        order["order_id"] = json!(Uuid::new_v5(&Uuid::NAMESPACE_URL, identity.as_bytes()));
        order
    };
    let mut orders = 0;
    for (first, second, is_repeat) in [
        (json!("EUR"), json!("EUR"), true),
        (json!(null), json!(null), true),
        (json!("EUR"), json!("USD"), false),
        (json!("EUR"), json!(null), false),
        (json!(null), json!("EUR"), false),
    ] {
        orders += 1;
        let identity = format!("{first} {second}");
        let placed = api.place(&of(&first, &identity)).await?.error_for_status()?.bytes().await?;
        let repeat = api.place(&of(&second, &identity)).await?;
        if is_repeat {
            assert_eq!((repeat.status(), repeat.bytes().await?), (StatusCode::CREATED, placed), "{identity}");
        } else {
            assert_eq!(repeat.status(), StatusCode::UNPROCESSABLE_ENTITY, "{identity}");
            let problem = problem(repeat).await?;
            assert_eq!(problem["type"], "/problems/order-id-taken");
            assert_eq!(pointers(&problem), ["/order_id", "/currency"], "{problem}");
        }
        assert_eq!(api.stored().await?, (orders, orders));
    }
    // A missing field and null are the same.
    let mut absent = of(&json!(null), "null null");
    absent.as_object_mut().unwrap().remove("currency");
    let repeat = api.place(&absent).await?;
    assert_eq!(
        (repeat.status(), header(&repeat, "idempotent-replayed")),
        (StatusCode::CREATED, Some("true"))
    );
    Ok(())
}

#[tokio::test]
async fn a_whole_number_may_be_written_with_a_decimal_point() -> Result<()> {
    let api = Api::start().await?;
    let body = json!({"customer_id": "c", "items": [{"sku": "A", "quantity": 3.0, "price_cents": 1e2}]});
    let placed: Value = api.place(&body).await?.json().await?;
    assert_eq!(placed["total_cents"], 300);
    // Numbers up to the limit are read exactly.
    let body = |price: &str| {
        let item = format!("{{\"sku\": \"A\", \"quantity\": 1, \"price_cents\": {price}}}");
        format!("{{\"customer_id\": \"c\", \"items\": [{item}]}}")
    };
    for (price, total) in [
        ("9007199254740991.0", 9_007_199_254_740_991_i64),
        ("9007199254740990.0", 9_007_199_254_740_990),
        ("9.007199254740991e15", 9_007_199_254_740_991),
        ("9007199254740991", 9_007_199_254_740_991),
        ("1e15", 1_000_000_000_000_000),
        ("-0.0", 0),
    ] {
        let request =
            api.client.post(format!("{}/orders", api.url)).header("content-type", "application/json");
        let placed: Value = request.body(body(price)).send().await?.error_for_status()?.json().await?;
        assert_eq!(placed["total_cents"], total, "{price}");
    }
    Ok(())
}

#[tokio::test]
async fn any_id_that_the_service_does_not_generate_may_be_chosen() -> Result<()> {
    let api = Api::start().await?;
    for order_id in [
        "c232ab00-9414-11ec-b3c8-9f6bdeced846",
        "000003e8-9414-21ec-b300-325096b39f47",
        "5df41881-3aed-3515-88a7-2f4a814cf09e",
        "919108f7-52d1-4320-9bac-f847db4148a8",
        "2ed6657d-e927-568b-95e1-2665a8aea6a2",
        "1ec9414c-232a-6b00-b3c8-9f6bdeced846",
        "0193a0c0-5f6e-7c1a-9d7e-2b6f3a1c4d5e",
        "00000000-0000-0000-0000-000000000001",
        "ffffffff-ffff-ffff-ffff-fffffffffffe",
    ] {
        let mut order = order();
        order["order_id"] = json!(order_id);
        let placed = api.place(&order).await?;
        assert_eq!(placed.status(), StatusCode::CREATED, "{order_id}");
        assert_eq!(header(&placed, "location"), Some(format!("/orders/{order_id}").as_str()));
    }
    Ok(())
}

#[tokio::test]
async fn a_byte_order_mark_before_a_body_is_ignored() -> Result<()> {
    let api = Api::start().await?;
    let post = |path: String, body: String| {
        let request =
            api.client.post(format!("{}{path}", api.url)).header("content-type", "application/json");
        request.body(body).send()
    };
    let placed = post("/orders".to_owned(), format!("\u{feff}{}", order())).await?;
    assert_eq!(placed.status(), StatusCode::CREATED);
    let location = header(&placed, "location").unwrap().to_owned();
    // Also if the body is optional, or null.
    for (step, body) in
        [("pay", "\u{feff}"), ("ship", "\u{feff}{\"carrier\": \"DHL\"}"), ("deliver", "\u{feff}null")]
    {
        let response = post(format!("{location}/{step}"), body.to_owned()).await?;
        assert_eq!(response.status(), StatusCode::OK, "{step}");
    }
    Ok(())
}

#[tokio::test]
async fn concurrent_repeats_become_one_order_with_one_event_and_one_response() -> Result<()> {
    let api = Api::start().await?;
    let mut order = order();
    order["order_id"] = json!(Uuid::now_v7());
    let responses = futures_util::future::join_all((0..32).map(|_| async {
        let response = api.place(&order).await?;
        let replayed = header(&response, "idempotent-replayed").is_some();
        anyhow::Ok((response.status(), replayed, response.bytes().await?))
    }))
    .await;
    let responses: Vec<_> = responses.into_iter().collect::<Result<_>>()?;
    assert!(
        responses.iter().all(|(status, _, body)| *status == StatusCode::CREATED && *body == responses[0].2)
    );
    assert_eq!(
        responses.iter().filter(|(_, replayed, _)| !replayed).count(),
        1,
        "exactly one request placed the order"
    );
    assert_eq!(api.stored().await?, (1, 1));
    Ok(())
}

#[tokio::test]
async fn the_largest_order_that_the_rules_allow_is_accepted() -> Result<()> {
    let api = Api::start().await?;
    let item = json!({"sku": "s".repeat(64), "quantity": 2_147_483_647, "price_cents": 0});
    let mut items = vec![item; 499];
    items.push(json!({"sku": "ü/~\"", "quantity": 1, "price_cents": 9_007_199_254_740_991_i64}));
    let body = json!({"customer_id": "c".repeat(128), "items": items});
    let response = api.place(&body).await?;
    assert_eq!(response.status(), StatusCode::CREATED);
    let body: Value = response.json().await?;
    assert_eq!((&body["total_cents"], &body["item_count"]), (&json!(9_007_199_254_740_991_i64), &json!(500)));
    Ok(())
}
