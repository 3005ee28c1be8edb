//! Placing orders by `Idempotency-Key`, and any mixture of repeats compared with a simple model.

use std::collections::HashMap;

use anyhow::Result;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Api, header, order, problem};

async fn place_with_key(api: &Api, key: &str, body: &Value) -> Result<Response> {
    let request = api.client.post(format!("{}/orders", api.url)).header("idempotency-key", key);
    Ok(request.json(body).send().await?)
}

#[tokio::test]
async fn a_key_identifies_an_order_of_its_customer() -> Result<()> {
    let api = Api::start().await?;
    let first = place_with_key(&api, "cart-17", &order()).await?;
    assert_eq!(first.status(), StatusCode::CREATED);
    let first = first.bytes().await?;

    for key in ["cart-17", "\"cart-17\""] {
        let repeat = place_with_key(&api, key, &order()).await?;
        assert_eq!(
            (repeat.status(), header(&repeat, "idempotent-replayed")),
            (StatusCode::CREATED, Some("true"))
        );
        assert_eq!(repeat.bytes().await?, first, "{key}");
    }
    let mut other_customer = order();
    other_customer["customer_id"] = json!("somebody else");
    for (key, body) in [("cart-18", &order()), ("cart-17", &other_customer)] {
        let other = place_with_key(&api, key, body).await?;
        assert_eq!((other.status(), header(&other, "idempotent-replayed")), (StatusCode::CREATED, None));
    }
    assert_eq!(api.stored().await?, (3, 3));
    Ok(())
}

#[tokio::test]
async fn a_key_that_was_used_for_other_content_is_422_and_the_field_is_named() -> Result<()> {
    let api = Api::start().await?;
    place_with_key(&api, "cart-17", &order()).await?;
    for (field, change, value) in
        [("/items", "/items/0/quantity", json!(3)), ("/currency", "/currency", json!("EUR"))]
    {
        let mut changed = order();
        changed["currency"] = Value::Null;
        *changed.pointer_mut(change).unwrap() = value;
        let response = place_with_key(&api, "cart-17", &changed).await?;
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let problem = problem(response).await?;
        assert_eq!(problem["type"], "/problems/idempotency-key-reused");
        assert_eq!(problem["errors"][0]["header"], "Idempotency-Key");
        assert_eq!(problem["errors"][1]["pointer"], field);
    }
    assert_eq!(api.stored().await?, (1, 1));
    Ok(())
}

#[tokio::test]
async fn an_order_id_and_a_key_together_are_400_and_both_are_named() -> Result<()> {
    let api = Api::start().await?;
    let order_id = Uuid::now_v7().to_string();
    let mut body = order();
    body["order_id"] = json!(order_id);
    // Also if both have the same value.
    for (key, body) in [("cart-17", &body), (order_id.as_str(), &body)] {
        let response = place_with_key(&api, key, body).await?;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{key}");
        let problem = problem(response).await?;
        assert_eq!(problem["type"], "/problems/two-identities");
        assert_eq!(
            (&problem["errors"][0]["header"], &problem["errors"][1]["pointer"]),
            (&json!("Idempotency-Key"), &json!("/order_id"))
        );
    }
    assert_eq!(api.stored().await?, (0, 0));
    body["order_id"] = Value::Null;
    assert_eq!(
        place_with_key(&api, "cart-17", &body).await?.status(),
        StatusCode::CREATED,
        "null is not an identity"
    );
    Ok(())
}

#[tokio::test]
async fn a_client_cannot_take_the_order_id_of_another_customers_key() -> Result<()> {
    let api = Api::start().await?;
    // The id of a key is not secret: here it comes from another database.
    let elsewhere = Api::start().await?;
    let placed: Value = place_with_key(&elsewhere, "cart-4711", &order()).await?.json().await?;
    let order_id = placed["order_id"].as_str().unwrap().to_owned();
    assert_eq!(Uuid::parse_str(&order_id)?.get_version_num(), 8);

    let mut attack = order();
    attack["customer_id"] = json!("mallory");
    attack["order_id"] = json!(order_id);
    let response = api.place(&attack).await?;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let problem = problem(response).await?;
    assert_eq!(
        (&problem["type"], &problem["errors"][0]["pointer"]),
        (&json!("/problems/invalid-body"), &json!("/order_id"))
    );
    let own = place_with_key(&api, "cart-4711", &order()).await?;
    assert_eq!((own.status(), header(&own, "idempotent-replayed")), (StatusCode::CREATED, None));
    let own: Value = own.json().await?;
    assert_eq!(own["order_id"], order_id, "an id depends only on customer and key");
    assert_eq!(api.stored().await?, (1, 1));
    Ok(())
}

#[tokio::test]
async fn an_invalid_key_is_400_and_stores_nothing() -> Result<()> {
    let api = Api::start().await?;
    for key in ["", "\"\"", "\"open", "ü", "a\tb", "\"a\tb\"", &"k".repeat(256)] {
        let response = place_with_key(&api, key, &order()).await?;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{key:?}");
        let problem = problem(response).await?;
        assert_eq!(problem["errors"][0]["header"], "Idempotency-Key", "{key:?}");
        assert!(problem["detail"].to_string().contains("`Idempotency-Key` "), "{problem}");
    }
    let request = api.client.post(format!("{}/orders", api.url)).header("idempotency-key", "a");
    let twice = request.header("idempotency-key", "b").json(&order()).send().await?;
    assert_eq!(twice.status(), StatusCode::BAD_REQUEST);
    assert_eq!(api.stored().await?, (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_hundred_requests_with_one_key_become_one_order_with_one_event_and_one_response() -> Result<()> {
    let api = Api::start().await?;
    let order = order();
    let repeats = (0..100).map(|_| async {
        let response = place_with_key(&api, "cart-17", &order).await?;
        anyhow::Ok((response.status(), response.bytes().await?))
    });
    let responses = futures_util::future::try_join_all(repeats).await?;
    assert!(responses.iter().all(|response| response.0 == StatusCode::CREATED && *response == responses[0]));
    assert_eq!(api.stored().await?, (1, 1));
    Ok(())
}

/// A request. Each field has few values, so that requests collide.
#[derive(Debug, Clone, Copy)]
struct Request {
    customer: u8,
    identity: Identity,
    quantity: u8,
    currency: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Identity {
    OrderId(u8),
    Key(u8),
    None,
}

fn any_request() -> impl Strategy<Value = Request> {
    let identity = prop_oneof![
        (0..3_u8).prop_map(Identity::OrderId),
        (0..3_u8).prop_map(Identity::Key),
        Just(Identity::None)
    ];
    let currency = prop::sample::select(vec![None, Some("EUR")]);
    (0..2_u8, identity, 1..3_u8, currency).prop_map(|(customer, identity, quantity, currency)| Request {
        customer,
        identity,
        quantity,
        currency,
    })
}

async fn send(api: &Api, run: Uuid, request: Request) -> Result<(StatusCode, Value)> {
    let mut body = json!({
        "customer_id": format!("{run}-{}", request.customer),
        "items": [{"sku": "A", "quantity": request.quantity, "price_cents": 100}],
        "currency": request.currency,
    });
    let mut sent = api.client.post(format!("{}/orders", api.url));
    match request.identity {
        Identity::OrderId(number) => {
            let order_id = Uuid::new_v5(&run, &[number]);
            if let Some(fields) = body.as_object_mut() {
                fields.insert("order_id".to_owned(), json!(order_id));
            }
        }
        Identity::Key(number) => sent = sent.header("idempotency-key", format!("key-{number}")),
        Identity::None => {}
    }
    let response = sent.json(&body).send().await?;
    Ok((response.status(), response.json().await?))
}

/// What a repeat must have in common with the first request.
fn content(request: &Request) -> (u8, u8, Option<&'static str>) {
    (request.customer, request.quantity, request.currency)
}

/// Sends the requests, all at once if `concurrently`, and compares the responses of each identity.
async fn check(api: &Api, requests: &[Request], concurrently: bool) -> Result<()> {
    let run = Uuid::now_v7();
    let responses = if concurrently {
        futures_util::future::try_join_all(requests.iter().map(|request| send(api, run, *request))).await?
    } else {
        let mut responses = Vec::new();
        for request in requests {
            responses.push(send(api, run, *request).await?);
        }
        responses
    };
    // The first accepted request of each identity.
    let mut accepted: HashMap<(Identity, Option<u8>), (Request, Value)> = HashMap::new();
    let mut orders = 0;
    for (request, (status, body)) in requests.iter().zip(&responses).filter(|(_, (status, _))| *status == 201)
    {
        anyhow::ensure!(body.get("total_cents") == Some(&json!(u32::from(request.quantity) * 100)), "{body}");
        if request.identity == Identity::None {
            orders += 1;
            continue;
        }
        // Keys are unique per customer, order ids among all customers.
        let scope = matches!(request.identity, Identity::Key(_)).then_some(request.customer);
        match accepted.get(&(request.identity, scope)) {
            None => {
                orders += 1;
                accepted.insert((request.identity, scope), (*request, body.clone()));
            }
            Some((first_request, first)) => {
                anyhow::ensure!(first == body, "{status}: {first} became {body}");
                anyhow::ensure!(
                    content(first_request) == content(request),
                    "{first_request:?} became {request:?}"
                );
            }
        }
    }
    for (request, (status, body)) in requests.iter().zip(&responses).filter(|(_, (status, _))| *status != 201)
    {
        let scope = matches!(request.identity, Identity::Key(_)).then_some(request.customer);
        let (first, _) = accepted.get(&(request.identity, scope)).ok_or_else(|| anyhow::anyhow!("{body}"))?;
        let same = content(first) == content(request);
        anyhow::ensure!(*status == 422 && !same, "{status} for {request:?} after {first:?}");
    }
    let count =
        "SELECT count(*), (SELECT count(*) FROM outbox WHERE payload->'order'->>'customer_id' LIKE $1)
                 FROM orders WHERE customer_id LIKE $1";
    let row = api.database.connect().await?.query_one(count, &[&format!("{run}%")]).await?;
    anyhow::ensure!(
        (row.get::<_, i64>(0), row.get::<_, i64>(1)) == (orders, orders),
        "{orders} orders were accepted"
    );
    Ok(())
}

#[test]
fn any_mixture_of_repeats_and_changes_places_one_order_per_identity() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let api = runtime.block_on(Api::start()).unwrap();
    let requests = (prop::collection::vec(any_request(), 1..12), any::<bool>());
    TestRunner::new(Config { cases: 100, failure_persistence: None, ..Config::default() })
        .run(&requests, |(requests, concurrently)| {
            runtime
                .block_on(check(&api, &requests, concurrently))
                .map_err(|error| TestCaseError::fail(format!("{error:#}")))
        })
        .unwrap();
}
