//! The document says what is served.

use std::collections::BTreeSet;

use anyhow::Result;
use read_api::adapter::http;
use read_api::adapter::postgres::{PgOrderQueries, PgOrderWatch};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

use crate::support::Api;

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
    let known: BTreeSet<_> =
        http::paths::<PgOrderQueries, PgOrderWatch>().into_iter().map(str::to_owned).collect();
    assert_eq!(documented.iter().map(|(_, path)| path.clone()).collect::<BTreeSet<_>>(), known);

    let client = Client::new();
    for path in known {
        let url = format!(
            "{}{}",
            api.url,
            path.replace("{order_id}", "not-a-uuid").replace("{customer_id}", "%00")
        );
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let status = client.request(method.clone(), &url).send().await?.status();
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
