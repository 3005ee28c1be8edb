//! The OpenAPI document matches the feed.

use anyhow::Result;
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

use super::support::Feed;
use crate::support::Scene;

#[tokio::test]
async fn the_document_has_the_operation_that_is_served_and_a_page_to_read_it() -> Result<()> {
    let scene = Scene::create().await?;
    let feed = Feed::start(&scene, &[])?;
    let get = async |path: &str| Ok::<_, anyhow::Error>(reqwest::get(format!("{}{path}", feed.url)).await?);
    let document: Value = get("/openapi.json").await?.error_for_status()?.json().await?;
    assert_eq!(document["openapi"].as_str().map(|version| &version[..3]), Some("3.1"));
    let paths: Vec<_> = document["paths"].as_object().into_iter().flat_map(serde_json::Map::keys).collect();
    assert_eq!(paths, ["/events"]);
    for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let status =
            Client::new().request(method.clone(), format!("{}/events", feed.url)).send().await?.status();
        let expected = if method == Method::GET { StatusCode::OK } else { StatusCode::METHOD_NOT_ALLOWED };
        assert_eq!(status, expected, "{method}");
    }
    let page = get("/docs").await?;
    assert_eq!((page.status(), page.url().path()), (StatusCode::OK, "/docs/"));
    assert_eq!(get("/nothing").await?.status(), StatusCode::NOT_FOUND);
    assert_eq!(get("/metrics").await?.status(), StatusCode::NOT_FOUND, "for operators only");
    Ok(())
}
