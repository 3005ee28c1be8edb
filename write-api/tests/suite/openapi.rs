//! The document says what is served.

use std::collections::BTreeSet;

use anyhow::Result;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use write_api::adapter::http;
use write_api::adapter::postgres::PgOrderWriter;
use write_api::domain::{CancelReason, Carrier, Cents, CustomerId, Sku, TrackingNumber};

use crate::support::{Api, header, problem};

/// Method and path of every documented operation.
fn documented(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document.get("paths").and_then(Value::as_object).into_iter().flatten();
    paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().into_iter().flat_map(serde_json::Map::keys);
            methods.map(move |method| (method.to_uppercase(), path.clone()))
        })
        .collect()
}

#[tokio::test]
async fn what_is_served_and_what_is_documented_are_the_same() -> Result<()> {
    let api = Api::start().await?;
    let document: Value = api.get("/openapi.json").await?.error_for_status()?.json().await?;
    assert_eq!(document["openapi"].as_str().map(|version| &version[..3]), Some("3.1"));
    let documented = documented(&document);
    let known: BTreeSet<_> = http::paths::<PgOrderWriter>().into_iter().map(str::to_owned).collect();
    assert_eq!(documented.iter().map(|(_, path)| path.clone()).collect::<BTreeSet<_>>(), known);

    for path in known {
        let url = format!("{}{}", api.url, path.replace("{order_id}", "not-a-uuid"));
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let status = api.client.request(method.clone(), &url).send().await?.status();
            let is_served = status != StatusCode::METHOD_NOT_ALLOWED && status != StatusCode::NOT_FOUND;
            let is_documented = documented.contains(&(method.to_string(), path.clone()));
            assert_eq!(is_served, is_documented, "{method} {path}: {status}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_page_to_read_it_is_served_from_the_binary() -> Result<()> {
    let api = Api::start().await?;
    let page = api.get("/docs").await?;
    assert_eq!((page.status(), page.url().path()), (StatusCode::OK, "/docs/"));
    let page = page.text().await?;
    assert!(page.contains("swagger-ui"), "{page}");
    assert!(!page.contains("http://") && !page.contains("https://"), "assets from elsewhere: {page}");
    for asset in ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-initializer.js"] {
        assert_eq!(api.get(&format!("/docs/{asset}")).await?.status(), StatusCode::OK, "{asset}");
    }
    Ok(())
}

/// The same rules stand in the domain and in the document.
#[tokio::test]
async fn the_document_has_the_limits_of_the_domain() -> Result<()> {
    let document = serde_json::to_value(http::document())?;
    let at = |pointer: &str| {
        document.pointer(&format!("/components/schemas/{pointer}")).cloned().unwrap_or_default()
    };
    let item = |rest: &str| at(&format!("ItemRequest/properties/{rest}"));
    let max = Value::from(Cents::MAX.get());
    assert_eq!((item("price_cents/minimum"), item("price_cents/maximum")), (Value::from(0), max.clone()));
    assert_eq!(at("PlacedResponse/properties/total_cents/maximum"), max);
    assert_eq!(item("sku/maxLength"), Value::from(Sku::MAX_CHARS));
    for (pointer, limit) in [
        ("PlaceOrderRequest/properties/customer_id", CustomerId::MAX_CHARS),
        ("ShipRequest/properties/carrier", Carrier::MAX_CHARS),
        ("ShipRequest/properties/tracking_number", TrackingNumber::MAX_CHARS),
        ("CancelRequest/properties/reason", CancelReason::MAX_CHARS),
    ] {
        assert_eq!(at(&format!("{pointer}/maxLength")), Value::from(limit), "{pointer}");
    }
    let both = document.to_string();
    assert!(both.contains("/problems/two-identities"), "what is refused is documented");
    let order_id = at("PlaceOrderRequest/properties/order_id");
    assert_eq!(order_id["format"], "uuid", "{order_id}");
    assert!(
        order_id["pattern"].as_str().is_some_and(|pattern| pattern.contains("[0-79a-fA-F]")),
        "{order_id}"
    );
    Ok(())
}

#[tokio::test]
async fn the_document_and_its_page_answer_to_get_and_head_and_refuse_the_rest_with_a_problem() -> Result<()> {
    let api = Api::start().await?;
    for path in ["/openapi.json", "/docs/", "/docs/swagger-ui.css"] {
        let get = api.get(path).await?;
        let head = api.client.head(format!("{}{path}", api.url)).send().await?;
        assert_eq!(head.status(), StatusCode::OK, "{path}");
        for name in ["content-type", "content-length"] {
            assert_eq!(header(&head, name), header(&get, name), "{path} {name}");
        }
        assert_eq!(header(&head, "connection"), Some("close"), "{path}");
        let post = api.client.post(format!("{}{path}", api.url)).send().await?;
        assert_eq!(header(&post, "allow"), Some("GET, HEAD"), "{path}");
        assert_eq!(problem(post).await?["type"], "/problems/method-not-allowed", "{path}");
    }
    Ok(())
}
