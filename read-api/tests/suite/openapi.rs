//! The OpenAPI document matches the API.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use read_api::adapter::http;
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

use crate::support::{Api, insert, numbers};

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
async fn served_and_documented_operations_are_the_same() -> Result<()> {
    let api = Api::start().await?;
    let document: Value = api.get("/openapi.json").await?.error_for_status()?.json().await?;
    assert_eq!(document["openapi"].as_str().map(|version| &version[..3]), Some("3.1"));
    let documented = documented(&document);
    let known: BTreeSet<_> = http::paths().into_iter().map(str::to_owned).collect();
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
async fn the_page_for_the_document_comes_from_the_binary() -> Result<()> {
    let api = Api::start().await?;
    let page = api.get("/docs").await?;
    assert_eq!((page.status(), page.url().path()), (StatusCode::OK, "/docs/"));
    let page = page.text().await?;
    assert!(page.contains("swagger-ui"), "{page}");
    assert!(!page.contains("http://") && !page.contains("https://"), "assets of another origin: {page}");
    for asset in ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-initializer.js"] {
        assert_eq!(api.get(&format!("/docs/{asset}")).await?.status(), StatusCode::OK, "{asset}");
    }
    Ok(())
}

#[tokio::test]
async fn the_documented_length_of_a_customer_id_is_that_of_the_column() -> Result<()> {
    let api = Api::start().await?;
    let document: Value = api.get("/openapi.json").await?.error_for_status()?.json().await?;
    let parameters = document.pointer("/paths/~1customers~1{customer_id}~1orders/get/parameters");
    let parameters = parameters.and_then(Value::as_array).into_iter().flatten();
    let customer_id = parameters.filter(|parameter| parameter["name"] == "customer_id");
    let max = customer_id.filter_map(|parameter| parameter.pointer("/schema/maxLength")?.as_u64());
    let max = usize::try_from(max.max().context("no maximum")?)?;

    let session = api.database.connect().await?;
    let (longest, too_long) = ("ü".repeat(max), "ü".repeat(max + 1));
    insert(&session, &[(1, &longest, 0)]).await?;
    let list: Value =
        api.get(&format!("/customers/{longest}/orders")).await?.error_for_status()?.json().await?;
    assert_eq!(numbers(&list), [1]);
    let error = insert(&session, &[(2, &too_long, 0)]).await.err().context("the column accepts more")?;
    assert!(format!("{error:?}").contains("order_summary_customer_id_length"), "{error:?}");
    let refused = api.get(&format!("/customers/{too_long}/orders")).await?;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    Ok(())
}

#[tokio::test]
async fn no_browser_guesses_a_type_or_tells_where_it_comes_from() -> Result<()> {
    let api = Api::start().await?;
    let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    for (path, status) in
        [("/openapi.json", 200), ("/docs", 307), ("/docs/", 200), ("/docs/no-such-file", 404)]
    {
        let response = client.get(format!("{}{path}", api.url)).send().await?;
        assert_eq!(response.status().as_u16(), status, "{path}");
        for (name, value) in [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")] {
            let values: Vec<_> = response.headers().get_all(name).iter().collect();
            assert_eq!(values, [value], "{path}: {name}");
        }
    }
    Ok(())
}
