//! Orders that are paid, shipped, delivered or cancelled.

use anyhow::Result;
use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use serde_json::{Value, json};
use shared_events::{OrderChange, OrderEvent};
use uuid::Uuid;

use crate::support::{Api, header, problem};

async fn events(api: &Api) -> Result<Vec<OrderEvent>> {
    let rows = api
        .database
        .connect()
        .await?
        .query("SELECT kind, payload::text FROM outbox ORDER BY id", &[])
        .await?;
    rows.iter().map(|row| Ok(OrderEvent::decode(row.get(0), row.get(1))?)).collect()
}

#[tokio::test]
async fn an_order_goes_from_placed_to_delivered_and_each_step_has_its_event() -> Result<()> {
    let api = Api::start().await?;
    let order_id = api.placed().await?;
    let mut placed_at = Value::Null;
    for (version, step, status) in [(2, "pay", "paid"), (3, "ship", "shipped"), (4, "deliver", "delivered")] {
        let response = api.step(&order_id, step).await?;
        assert_eq!(response.status(), StatusCode::OK, "{step}");
        assert_eq!(header(&response, "etag"), Some(format!("\"{version}\"").as_str()));
        assert_eq!(header(&response, "idempotent-replayed"), None);
        let body: Value = response.json().await?;
        if placed_at.is_null() {
            placed_at = body["placed_at"].clone();
        }
        assert_eq!(
            body,
            json!({
                "order_id": order_id, "status": status, "version": version, "total_cents": 4_498,
                "placed_at": placed_at, "updated_at": body["updated_at"],
            })
        );
        let updated_at: DateTime<Utc> = body["updated_at"].as_str().unwrap().parse()?;
        assert!((Utc::now() - updated_at).num_seconds().abs() < 60);
    }
    let kinds: Vec<_> = events(&api).await?.iter().map(|event| (event.kind(), event.order.version)).collect();
    assert_eq!(kinds, [("order_placed", 1), ("order_paid", 2), ("order_shipped", 3), ("order_delivered", 4)]);
    Ok(())
}

#[tokio::test]
async fn the_details_of_a_step_are_in_its_event_and_in_its_row() -> Result<()> {
    let api = Api::start().await?;
    let (shipped, cancelled) = (api.placed().await?, api.placed().await?);
    api.step(&shipped, "pay").await?;
    for (order_id, step, body) in [
        (&shipped, "ship", json!({"carrier": "DHL", "tracking_number": "JD01"})),
        (&cancelled, "cancel", json!({"reason": "wrong size"})),
    ] {
        let url = format!("{}/orders/{order_id}/{step}", api.url);
        assert_eq!(api.client.post(url).json(&body).send().await?.status(), StatusCode::OK);
    }
    let events = events(&api).await?;
    let facts = |change| events.iter().find(|event| event.change == change).map(|event| event.facts.clone());
    let (paid, shipped) = (facts(OrderChange::Paid).unwrap(), facts(OrderChange::Shipped).unwrap());
    assert_eq!(shipped.carrier.as_deref(), Some("DHL"));
    assert_eq!(shipped.tracking_number.as_deref(), Some("JD01"));
    assert_eq!(facts(OrderChange::Cancelled).unwrap().cancel_reason.as_deref(), Some("wrong size"));
    assert!(
        shipped.paid_at.is_some() && shipped.paid_at == paid.paid_at,
        "every event has all earlier facts"
    );

    let stored =
        "SELECT carrier, tracking_number, cancel_reason, shipped_at = updated_at, cancelled_at = updated_at
                  FROM orders ORDER BY version DESC";
    let rows = api.database.connect().await?.query(stored, &[]).await?;
    let rows: Vec<[Option<String>; 3]> =
        rows.iter().map(|row| [row.get(0), row.get(1), row.get(2)]).collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(rows, [[some("DHL"), some("JD01"), None], [None, None, some("wrong size")]]);
    Ok(())
}

#[tokio::test]
async fn a_repeated_step_returns_the_current_order_and_writes_nothing() -> Result<()> {
    let api = Api::start().await?;
    let order_id = api.placed().await?;
    for step in ["pay", "ship", "deliver"] {
        api.step(&order_id, step).await?;
    }
    let before = api.stored().await?;
    for step in ["pay", "ship", "deliver"] {
        let response = api.step(&order_id, step).await?;
        assert_eq!((response.status(), header(&response, "etag")), (StatusCode::OK, Some("\"4\"")), "{step}");
        assert_eq!(header(&response, "idempotent-replayed"), Some("true"));
        let body: Value = response.json().await?;
        assert_eq!((&body["status"], &body["version"]), (&json!("delivered"), &json!(4)));
    }
    assert_eq!(api.stored().await?, before);
    Ok(())
}

#[tokio::test]
async fn a_repeat_with_other_details_is_409_and_names_them() -> Result<()> {
    let api = Api::start().await?;
    let (shipped, cancelled) = (api.placed().await?, api.placed().await?);
    api.step(&shipped, "pay").await?;
    let step = |order_id: &str, step: &str, body: Value, tag: &str| {
        let request = api.client.post(format!("{}/orders/{order_id}/{step}", api.url));
        request.json(&body).header("if-match", tag.to_owned()).send()
    };
    let dhl = json!({"carrier": "DHL"});
    assert_eq!(step(&shipped, "ship", dhl.clone(), "\"2\"").await?.status(), StatusCode::OK);
    let late = json!({"reason": "late"});
    assert_eq!(step(&cancelled, "cancel", late.clone(), "\"1\"").await?.status(), StatusCode::OK);
    let before = api.stored().await?;
    for (order_id, name, same, other, named) in [
        (&shipped, "ship", dhl, json!({"carrier": "UPS"}), vec!["/carrier"]),
        (
            &shipped,
            "ship",
            json!({}),
            json!({"carrier": "DHL", "tracking_number": "JD01"}),
            vec!["/tracking_number"],
        ),
        (
            &shipped,
            "ship",
            json!({"carrier": null}),
            json!({"carrier": "UPS", "tracking_number": "JD01"}),
            vec!["/carrier", "/tracking_number"],
        ),
        (&cancelled, "cancel", late, json!({"reason": "Late"}), vec!["/reason"]),
    ] {
        // Any version, the version before the step, and the version after it.
        let (from, to) = if name == "ship" { ("\"2\"", "\"3\"") } else { ("\"1\"", "\"2\"") };
        for tag in ["*", from, to] {
            let repeat = step(order_id, name, same.clone(), tag).await?;
            assert_eq!(
                (repeat.status(), header(&repeat, "idempotent-replayed")),
                (StatusCode::OK, Some("true"))
            );
            let refused = step(order_id, name, other.clone(), tag).await?;
            assert_eq!(refused.status(), StatusCode::CONFLICT, "{other}");
            let problem = problem(refused).await?;
            assert_eq!(problem["type"], "/problems/details-differ");
            let errors = problem["errors"].as_array().cloned().unwrap_or_default();
            let pointers: Vec<_> = errors.iter().filter_map(|error| error["pointer"].as_str()).collect();
            assert_eq!(pointers, named, "{problem}");
        }
        let stale = step(order_id, name, other, "\"9\"").await?;
        assert_eq!(stale.status(), StatusCode::PRECONDITION_FAILED);
    }
    assert_eq!(api.stored().await?, before);
    Ok(())
}

#[tokio::test]
async fn a_forbidden_step_is_409_and_names_both_statuses() -> Result<()> {
    let api = Api::start().await?;
    let order_id = api.placed().await?;
    let before = api.stored().await?;
    for (step, detail) in [
        ("ship", "An order that is placed cannot become shipped."),
        ("deliver", "An order that is placed cannot become delivered."),
    ] {
        let response = api.step(&order_id, step).await?;
        assert_eq!(response.status(), StatusCode::CONFLICT, "{step}");
        let problem = problem(response).await?;
        assert_eq!(
            (&problem["type"], &problem["detail"]),
            (&json!("/problems/step-forbidden"), &json!(detail))
        );
    }
    assert_eq!(api.stored().await?, before);
    api.step(&order_id, "cancel").await?;
    let problem = problem(api.step(&order_id, "pay").await?).await?;
    assert_eq!(problem["detail"], "An order that is cancelled cannot become paid.");
    Ok(())
}

#[tokio::test]
async fn an_unknown_order_is_404_and_an_invalid_id_is_400() -> Result<()> {
    let api = Api::start().await?;
    for step in ["pay", "ship", "deliver", "cancel"] {
        let response = api.step(&Uuid::now_v7().to_string(), step).await?;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{step}");
        assert_eq!(problem(response).await?["type"], "/problems/no-such-order");
        let response = api.step("not-a-uuid", step).await?;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{step}");
        assert_eq!(problem(response).await?["errors"][0]["parameter"], "order_id");
    }
    Ok(())
}

#[tokio::test]
async fn if_match_with_another_version_is_412_and_changes_nothing() -> Result<()> {
    let api = Api::start().await?;
    let order_id = api.placed().await?;
    let step = |step: &str, tag: &str| {
        api.client.post(format!("{}/orders/{order_id}/{step}", api.url)).header("if-match", tag).send()
    };
    for (tag, why) in [
        ("\"2\"", ""),
        ("\"one\"", ""),
        ("\"2\", \"3\"", ""),
        ("\"+1\"", ""),
        ("\"01\"", ""),
        ("W/\"1\"", "Weak tags never match"),
        ("W/\"2\"", "Weak tags never match"),
        ("\"2\", W/\"1\"", "Weak tags never match"),
        ("", "is malformed"),
        ("1", "is malformed"),
        ("\"1", "is malformed"),
        ("w/\"1\"", "is malformed"),
    ] {
        let response = step("pay", tag).await?;
        assert_eq!(response.status(), StatusCode::PRECONDITION_FAILED, "{tag}");
        let problem = problem(response).await?;
        assert_eq!(problem["type"], "/problems/version-mismatch");
        let detail = problem["detail"].as_str().unwrap_or_default();
        let rest = detail.strip_prefix("The order has version 1.").unwrap_or(detail);
        assert!(rest.contains(why) && rest.is_empty() == why.is_empty(), "{tag}: {detail}");
        assert_eq!(problem["errors"][0]["header"], "If-Match");
    }
    assert_eq!(api.stored().await?, (1, 1));
    assert_eq!(step("pay", "\"7\", \"1\"").await?.status(), StatusCode::OK);
    // The same request again, after its response got lost: it names the version before the step.
    let repeat = step("pay", "\"1\"").await?;
    assert_eq!((repeat.status(), header(&repeat, "idempotent-replayed")), (StatusCode::OK, Some("true")));
    assert_eq!(step("pay", "\"9\"").await?.status(), StatusCode::PRECONDITION_FAILED);
    assert_eq!(step("ship", "\"1\"").await?.status(), StatusCode::PRECONDITION_FAILED);
    assert_eq!(step("ship", "*").await?.status(), StatusCode::OK);
    Ok(())
}

#[tokio::test]
async fn a_body_that_breaks_a_rule_is_refused_with_a_pointer_and_changes_nothing() -> Result<()> {
    let api = Api::start().await?;
    let order_id = api.placed().await?;
    api.step(&order_id, "pay").await?;
    let before = api.stored().await?;
    for (step, body, status, pointer) in [
        ("ship", json!({"carrier": ""}), 422, "/carrier"),
        ("ship", json!({"carrier": "c".repeat(65)}), 422, "/carrier"),
        ("ship", json!({"tracking_number": "a\0b"}), 422, "/tracking_number"),
        ("ship", json!({"tracking_number": 7}), 400, "/tracking_number"),
        ("ship", json!({"carrier": "DHL "}), 422, "/carrier"),
        ("ship", json!({"carrier": "\u{3000}"}), 422, "/carrier"),
        ("ship", json!({"tracking_number": "\u{a0}JD01"}), 422, "/tracking_number"),
        ("cancel", json!({"reason": "r".repeat(501)}), 422, "/reason"),
        ("cancel", json!({"reason": " \u{2003} "}), 422, "/reason"),
        ("cancel", json!({"why": "?"}), 400, "/?"),
        ("deliver", json!({"to": "me"}), 400, "/?"),
    ] {
        let request = api.client.post(format!("{}/orders/{order_id}/{step}", api.url)).json(&body);
        let response = request.send().await?;
        assert_eq!(response.status(), status, "{step} {body}");
        assert_eq!(problem(response).await?["errors"][0]["pointer"], pointer, "{step} {body}");
    }
    let request = api.client.post(format!("{}/orders/{order_id}/ship", api.url)).body("{}");
    assert_eq!(request.send().await?.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(api.stored().await?, before);
    let request =
        api.client.post(format!("{}/orders/{order_id}/ship", api.url)).json(&json!({"carrier": null}));
    assert_eq!(request.send().await?.status(), StatusCode::OK, "null means no details");
    let request = api.client.post(format!("{}/orders/{order_id}/deliver", api.url)).json(&Value::Null);
    assert_eq!(request.send().await?.status(), StatusCode::OK, "null means no details");
    Ok(())
}

#[tokio::test]
async fn of_two_concurrent_steps_one_wins_and_the_other_is_checked_against_the_result() -> Result<()> {
    let api = Api::start().await?;
    for _ in 0..20 {
        let order_id = api.placed().await?;
        api.step(&order_id, "pay").await?;
        let (ship, cancel) = tokio::join!(api.step(&order_id, "ship"), api.step(&order_id, "cancel"));
        let (ship, cancel) = (ship?.status(), cancel?.status());
        let expected = [(StatusCode::OK, StatusCode::CONFLICT), (StatusCode::CONFLICT, StatusCode::OK)];
        assert!(expected.contains(&(ship, cancel)), "ship: {ship}, cancel: {cancel}");
    }
    assert_eq!(api.stored().await?, (20, 60), "I5: each change has exactly one event");
    Ok(())
}

#[tokio::test]
async fn many_concurrent_payments_are_one_payment() -> Result<()> {
    let api = Api::start().await?;
    let order_id = api.placed().await?;
    let responses = futures_util::future::try_join_all((0..50).map(|_| api.step(&order_id, "pay"))).await?;
    assert!(responses.iter().all(|response| response.status() == StatusCode::OK));
    let replayed =
        responses.iter().filter(|response| header(response, "idempotent-replayed").is_some()).count();
    assert_eq!(replayed, 49);
    assert_eq!(api.stored().await?, (1, 2));
    Ok(())
}
