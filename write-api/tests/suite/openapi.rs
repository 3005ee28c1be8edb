//! The OpenAPI document agrees with the service.

use std::collections::BTreeSet;

use anyhow::Result;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use write_api::adapter::http;
use write_api::domain::Currency;

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
async fn the_service_and_its_document_have_the_same_operations() -> Result<()> {
    let api = Api::start().await?;
    let document: Value = api.get("/openapi.json").await?.error_for_status()?.json().await?;
    assert_eq!(document["openapi"].as_str().map(|version| &version[..3]), Some("3.1"));
    let documented = documented(&document);
    let served: BTreeSet<_> = http::paths().into_iter().map(str::to_owned).collect();
    assert_eq!(documented.iter().map(|(_, path)| path.clone()).collect::<BTreeSet<_>>(), served);

    for path in served {
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
async fn the_documentation_page_is_served_from_the_binary() -> Result<()> {
    let api = Api::start().await?;
    let page = api.get("/docs").await?;
    assert_eq!((page.status(), page.url().path()), (StatusCode::OK, "/docs/"));
    let page = page.text().await?;
    assert!(page.contains("swagger-ui"), "{page}");
    assert!(!page.contains("http://") && !page.contains("https://"), "external assets: {page}");
    for asset in ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-initializer.js"] {
        assert_eq!(api.get(&format!("/docs/{asset}")).await?.status(), StatusCode::OK, "{asset}");
    }
    Ok(())
}

#[test]
fn the_document_lists_the_refusal_of_two_identities_and_the_rule_for_order_ids() -> Result<()> {
    let document = serde_json::to_value(http::document())?;
    assert!(document.to_string().contains("/problems/two-identities"));
    let order_id = &document["components"]["schemas"]["PlaceOrderRequest"]["properties"]["order_id"];
    assert_eq!(order_id["format"], "uuid", "{order_id}");
    assert!(order_id["pattern"].to_string().contains("[0-79a-fA-F]"), "{order_id}");
    Ok(())
}

#[test]
fn the_document_lists_every_currency() -> Result<()> {
    let document = serde_json::to_value(http::document())?;
    let currency = &document["components"]["schemas"]["PlaceOrderRequest"]["properties"]["currency"];
    let codes: Vec<_> = Currency::codes().map(Value::from).chain([Value::Null]).collect();
    assert_eq!(currency["enum"], Value::from(codes), "{currency}");
    assert_eq!(currency["type"], json!(["string", "null"]));
    assert!(currency["description"].to_string().contains("ISO 4217"), "{currency}");
    assert_eq!(currency["examples"], json!(["EUR"]));
    let required = document["components"]["schemas"]["PlaceOrderRequest"]["required"].to_string();
    assert!(!required.contains("currency"), "{required}");
    Ok(())
}

#[tokio::test]
async fn the_document_and_its_page_support_get_and_head_only() -> Result<()> {
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
