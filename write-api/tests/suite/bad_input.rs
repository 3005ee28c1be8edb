//! Invalid bodies get a problem document that names the field, and store nothing (I2, I9).

use anyhow::Result;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Api, order, problem};

fn pointers(problem: &Value) -> Vec<&str> {
    let errors = problem.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    errors.iter().filter_map(|error| error.get("pointer")?.as_str()).collect()
}

async fn problem_of(api: &Api, body: &Value) -> Result<Value> {
    problem(api.place(body).await?).await
}

/// The standard order with one field replaced.
fn with(pointer: &str, value: Value) -> Value {
    let mut order = order();
    let (parent, field) = pointer.rsplit_once('/').unwrap_or_default();
    if let Some(parent) = order.pointer_mut(parent)
        && let Value::Object(fields) = parent
    {
        fields.insert(field.to_owned(), value);
    }
    order
}

#[tokio::test]
async fn a_value_that_breaks_a_rule_is_422_with_a_pointer_to_it() -> Result<()> {
    let api = Api::start().await?;
    let item = json!({"sku": "A", "quantity": 1, "price_cents": 1});
    for (pointer, value) in [
        ("/customer_id", json!("")),
        ("/customer_id", json!("c".repeat(129))),
        ("/customer_id", json!("nul\0")),
        ("/customer_id", json!("line\nbreak")),
        ("/customer_id", json!(".")),
        ("/customer_id", json!("..")),
        ("/customer_id", json!(" ")),
        ("/customer_id", json!(" alice")),
        ("/customer_id", json!("alice\u{a0}")),
        ("/customer_id", json!("\u{2003}alice")),
        ("/customer_id", json!("\u{3000}\u{2028}")),
        ("/currency", json!("")),
        ("/currency", json!("EU")),
        ("/currency", json!("EURO")),
        ("/currency", json!("ABC")),
        ("/currency", json!("eur")),
        ("/currency", json!("Eur")),
        ("/currency", json!(" EUR")),
        ("/currency", json!("EUR\n")),
        ("/currency", json!("€")),
        ("/items", json!([])),
        ("/items", json!(vec![item; 501])),
        ("/items/0/sku", json!("")),
        ("/items/0/sku", json!("s".repeat(65))),
        ("/items/1/sku", json!("\u{1b}[31m")),
        ("/items/0/sku", json!("A ")),
        ("/items/1/sku", json!("\u{202f}A")),
        ("/items/1/sku", json!("\u{1680}")),
        ("/items/0/quantity", json!(0)),
        ("/items/1/quantity", json!(-1)),
        ("/items/1/quantity", json!(2_147_483_648_i64)),
        ("/items/0/quantity", json!(1e30)),
        ("/items/0/quantity", json!(-1e30)),
        ("/items/0/price_cents", json!(-1)),
        ("/items/0/price_cents", json!(9_007_199_254_740_992_i64)),
        ("/items/1/price_cents", json!(9_007_199_254_740_993_i64)),
        ("/items/0/price_cents", json!(9_007_199_254_740_992.0)),
        ("/items/0/price_cents", json!(1e16)),
        ("/items/0/price_cents", json!(1e300)),
        ("/items/0/price_cents", json!(-1e16)),
        ("/items/0/price_cents", json!(i64::MAX)),
        ("/items/1/price_cents", json!(9_223_372_036_854_775_808_u64)),
        ("/order_id", json!("00000000-0000-0000-0000-000000000000")),
        ("/order_id", json!("ffffffff-ffff-ffff-ffff-ffffffffffff")),
        ("/order_id", json!("01a21799-3083-8c47-8123-456789abcdef")),
        ("/order_id", json!("01A21799-3083-8C47-8123-456789ABCDEF")),
        ("/order_id", json!("01a2179930838c478123456789abcdef")),
        ("/order_id", json!("{01a21799-3083-8c47-8123-456789abcdef}")),
        ("/order_id", json!("01a21799-3083-8c47-0123-456789abcdef")),
    ] {
        let response = api.place(&with(pointer, value.clone())).await?;
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY, "{pointer} = {value}");
        let problem = problem(response).await?;
        assert_eq!(problem["type"], "/problems/invalid-body");
        assert_eq!(pointers(&problem), [pointer], "{problem}");
    }
    assert_eq!(api.stored().await?, (0, 0));
    Ok(())
}

#[tokio::test]
async fn an_amount_that_is_too_large_is_refused_at_its_own_pointer() -> Result<()> {
    let api = Api::start().await?;
    let max = 9_007_199_254_740_991_i64;
    let item = |quantity: i64, price: i64| json!({"sku": "A", "quantity": quantity, "price_cents": price});
    for (items, pointer) in [
        (json!([item(2, max)]), "/items/0"),
        (json!([item(1, 0), item(2, max / 2 + 1)]), "/items/1"),
        (json!([item(2_147_483_647, max)]), "/items/0"),
        (json!([item(1, max), item(1, 1)]), "/items"),
        (json!(vec![item(1, max); 500]), "/items"),
    ] {
        let response = api.place(&with("/items", items)).await?;
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY, "{pointer}");
        let problem = problem(response).await?;
        assert_eq!(pointers(&problem), [pointer], "{problem}");
        assert!(problem["errors"][0]["detail"].to_string().contains("9007199254740991"), "{problem}");
    }
    assert_eq!(api.stored().await?, (0, 0));
    Ok(())
}

/// The body is text: a JSON writer would round the number before sending it.
#[tokio::test]
async fn a_number_beyond_exact_floats_is_refused_instead_of_rounded() -> Result<()> {
    let api = Api::start().await?;
    for price in ["9007199254740993.0", "9007199254740993e0", "9007199254740993", "90071992547409930e-1"] {
        let item = format!("{{\"sku\": \"A\", \"quantity\": 1, \"price_cents\": {price}}}");
        let body = format!("{{\"customer_id\": \"c\", \"items\": [{item}]}}");
        let request =
            api.client.post(format!("{}/orders", api.url)).header("content-type", "application/json");
        let response = request.body(body).send().await?;
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY, "{price}");
        assert_eq!(pointers(&problem(response).await?), ["/items/0/price_cents"], "{price}");
    }
    assert_eq!(api.stored().await?, (0, 0));
    Ok(())
}

#[tokio::test]
async fn all_faults_are_reported_at_once() -> Result<()> {
    let api = Api::start().await?;
    let body = json!({"customer_id": "", "currency": "ABC", "items": [
        {"sku": "", "quantity": 0, "price_cents": -1},
        {"sku": "A", "quantity": 1, "price_cents": 1},
        {"sku": "B", "quantity": 0, "price_cents": 1},
    ]});
    let problem = problem(api.place(&body).await?).await?;
    assert_eq!(
        pointers(&problem),
        [
            "/customer_id",
            "/currency",
            "/items/0/sku",
            "/items/0/quantity",
            "/items/0/price_cents",
            "/items/2/quantity"
        ]
    );
    Ok(())
}

#[tokio::test]
async fn a_problem_document_is_short_however_long_the_request_is() -> Result<()> {
    let api = Api::start().await?;
    let items = |item: Value| json!({"customer_id": "c", "items": vec![item; 10_000]});
    let bad_items = items(json!({"sku": "", "quantity": 0, "price_cents": -1}));
    let mut bad_field = order();
    bad_field["x".repeat(500_000)] = json!(1);
    for (body, pointer) in
        [(bad_items, ""), (with("/items", json!("y".repeat(500_000))), "/items"), (bad_field, "")]
    {
        let problem = problem(api.place(&body).await?).await?;
        assert!(
            problem.to_string().len() < 20_000 && pointers(&problem)[0].contains(pointer),
            "{problem:.300}"
        );
    }
    let too_many = items(json!({"sku": "A", "quantity": 1, "price_cents": 1}));
    assert_eq!(pointers(&problem(api.place(&too_many).await?).await?), ["/items"]);
    Ok(())
}

#[tokio::test]
async fn faults_of_structure_and_of_value_are_reported_together() -> Result<()> {
    let api = Api::start().await?;
    let body = json!({"order_id": "x", "currency": "eur", "items": [
        {"sku": 7, "quantity": "1", "price_cents": 1, "gift": true},
        {"quantity": 0, "price_cents": null},
        "an item",
    ]});
    let response = api.place(&body).await?;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let problem = problem(response).await?;
    let mut found = pointers(&problem);
    found.sort_unstable();
    let mut expected = vec![
        "/order_id",
        "/customer_id",
        "/currency",
        "/items/0/?",
        "/items/0/sku",
        "/items/0/quantity",
        "/items/1/sku",
        "/items/1/quantity",
        "/items/1/price_cents",
        "/items/2",
    ];
    expected.sort_unstable();
    assert_eq!(found, expected, "{problem}");
    let array = problem_of(&api, &with("/items", json!([["A", 1, 1]]))).await?;
    assert_eq!(
        pointers(&array),
        ["/items/0"],
        "an array is not an item, although serde could read it as one"
    );
    let twice = r#"{"customer_id": "a", "customer_id": "b", "items": [{"sku": "A", "quantity": 1, "price_cents": 1}]}"#;
    let request = api.client.post(format!("{}/orders", api.url)).header("content-type", "application/json");
    assert_eq!(request.body(twice).send().await?.status(), StatusCode::BAD_REQUEST);
    assert_eq!(api.stored().await?, (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_value_of_the_wrong_type_is_400_with_a_pointer_to_it() -> Result<()> {
    let api = Api::start().await?;
    for (pointer, value) in [
        ("/order_id", json!("not-a-uuid")),
        ("/customer_id", json!(7)),
        ("/currency", json!(978)),
        ("/currency", json!(["EUR"])),
        ("/items", json!("none")),
        ("/items/0/quantity", json!(1.5)),
        ("/items/0/price_cents", json!(0.5)),
        ("/items/0/quantity", json!("1")),
        ("/items/1/price_cents", json!(null)),
        ("/surprise", json!(true)),
        ("/items/0/surprise", json!(true)),
    ] {
        let response = api.place(&with(pointer, value.clone())).await?;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{pointer} = {value}");
        let problem = problem(response).await?;
        assert_eq!(problem["type"], "/problems/malformed-body");
        assert_eq!(pointers(&problem), [pointer.replace("surprise", "?")], "{problem}");
    }
    assert_eq!(api.stored().await?, (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_problem_repeats_neither_a_value_nor_an_unknown_name() -> Result<()> {
    let api = Api::start().await?;
    let secret = "4711088123";
    let values = [
        json!(format!("{secret}\n")),
        json!(4_711_088_123_u64),
        json!(4_711.088_123),
        json!(-4_711_088_123_i64),
    ];
    for field in ["order_id", "customer_id", "currency", "items", "items/0/sku", "items/0/quantity"] {
        for value in &values {
            let body = with(&format!("/{field}"), value.clone());
            let response = api.place(&body).await?;
            assert!(response.status().is_client_error(), "{body}");
            let text = response.text().await?;
            assert!(!text.contains("4711"), "{body}: {text}");
        }
    }
    for (pointer, fields) in [("", "order_id, customer_id"), ("/items/1", "sku, quantity, price_cents")] {
        let body = with(&format!("{pointer}/{secret}"), json!(true));
        let problem = problem_of(&api, &body).await?;
        assert_eq!(pointers(&problem), [format!("{pointer}/?")], "{problem}");
        let text = problem.to_string();
        assert!(!text.contains("4711") && text.contains(fields), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn a_body_that_is_not_json_is_400() -> Result<()> {
    let api = Api::start().await?;
    let deep = format!("{{\"customer_id\": {}", "[".repeat(10_000));
    let whole = order().to_string();
    for body in [
        "",
        "{",
        "null",
        "[]",
        r#"[null, "alice", [["A", 1, 1]]]"#,
        "\u{feff}{}",
        "\u{feff}",
        &format!("\u{feff}\u{feff}{whole}"),
        &format!(" \u{feff}{whole}"),
        &format!("{whole}\u{feff}"),
        &whole[..whole.len() - 1],
        &format!("{whole} {{}}"),
        &deep,
    ] {
        let request =
            api.client.post(format!("{}/orders", api.url)).header("content-type", "application/json");
        let response = request.body(body.to_owned()).send().await?;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body:.40}");
        assert_eq!(problem(response).await?["type"], "/problems/malformed-body", "{body:.40}");
    }
    assert_eq!(api.stored().await?, (0, 0));
    Ok(())
}
