//! The read service over HTTP.

use anyhow::{Result, ensure};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::readiness;
use testkit::test_database::TestDatabase;

use crate::support::{Api, Scene};

async fn get(api: &Api, path: &str) -> Result<Value> {
    Ok(api.get(path).await?.error_for_status()?.json().await?)
}

/// All rows of a list, page by page, and the number of pages. `path` has a query.
async fn all(api: &Api, path: &str, list: &str) -> Result<(Vec<Value>, usize)> {
    let (mut rows, mut pages, mut next) = (Vec::new(), 0, None::<String>);
    loop {
        let after = next.map(|next| format!("&after={}", utf8_percent_encode(&next, NON_ALPHANUMERIC)));
        let page = get(api, &format!("{path}{}", after.unwrap_or_default())).await?;
        rows.extend(page[list].as_array().cloned().unwrap_or_default());
        pages += 1;
        ensure!(pages <= 50, "the list does not end");
        next = page["next"].as_str().map(str::to_owned);
        if next.is_none() {
            return Ok((rows, pages));
        }
    }
}

#[tokio::test]
async fn months_come_newest_first_page_by_page() -> Result<()> {
    let scene = Scene::create().await?;
    let fill = "INSERT INTO revenue_1.by_month
                SELECT month, currency, 1, 100000000000000000000
                FROM unnest(ARRAY['2026-09', '2026-11', '', '2026-10']) AS month,
                    unnest(ARRAY['USD', '', 'EUR']) AS currency;
                INSERT INTO revenue_1.by_month VALUES ('2026-12', 'EUR', 0, 0)";
    scene.session.batch_execute(fill).await?;
    let api = Api::start(&scene.database)?;
    let expected: Vec<_> = [Some("2026-11"), Some("2026-10"), Some("2026-09"), None]
        .into_iter()
        .flat_map(|month| [None, Some("EUR"), Some("USD")].map(|currency| (month, currency)))
        .map(|(month, currency)| (json!(month), json!(currency)))
        .collect();
    for (limit, pages) in [(1, 12), (5, 3), (12, 1), (1_000, 1)] {
        let (rows, found) = all(&api, &format!("/revenue?by=month&limit={limit}"), "revenue").await?;
        let keys: Vec<_> = rows.iter().map(|row| (row["month"].clone(), row["currency"].clone())).collect();
        assert_eq!(keys, expected, "a month without orders is left out");
        assert_eq!(found, pages, "limit {limit}");
    }
    let text = api.get("/revenue?limit=1").await?.text().await?;
    assert!(text.contains("\"revenue_cents\":100000000000000000000"), "beyond 64 bits: {text}");
    Ok(())
}

#[tokio::test]
async fn skus_come_page_by_page_whatever_characters_they_have() -> Result<()> {
    let scene = Scene::create().await?;
    let mut skus = ["A", "A B", "A&B=C", "a", "Ä", "ü/ö?#", "日本"].map(str::to_owned).to_vec();
    skus.push("x".repeat(64));
    skus.push("é".repeat(64));
    let fill = "INSERT INTO revenue_1.by_sku SELECT sku, 2, 3 FROM unnest($1::text[]) AS sku";
    scene.session.execute(fill, &[&skus]).await?;
    skus.sort_unstable();
    let api = Api::start(&scene.database)?;
    for limit in [1, 2, 100] {
        let (rows, _) = all(&api, &format!("/orders-by-sku?limit={limit}"), "skus").await?;
        let found: Vec<_> = rows.iter().filter_map(|row| row["sku"].as_str()).collect();
        assert_eq!(found, skus, "limit {limit}");
        assert!(rows.iter().all(|row| row["orders"] == 2 && row["units"] == 3));
    }
    Ok(())
}

#[tokio::test]
async fn bad_input_gets_a_problem_that_names_the_parameter() -> Result<()> {
    let scene = Scene::create().await?;
    let api = Api::start(&scene.database)?;
    let long = format!("/orders-by-sku?after={}", "x".repeat(65));
    for (path, parameter) in [
        ("/revenue?by=week", "by"),
        ("/revenue?by=month&by=month", "by"),
        ("/revenue?limit=0", "limit"),
        ("/revenue?limit=1001", "limit"),
        ("/revenue?after=2026-11", "after"),
        ("/revenue?months=3", "?"),
        ("/orders-by-sku?by=month", "?"),
        ("/orders-by-sku?after=%00", "after"),
        (&long, "after"),
    ] {
        let response = api.get(path).await?;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{path}");
        let problem: Value = response.json().await?;
        assert_eq!(problem["type"], "/problems/invalid-parameter", "{path}");
        assert_eq!(problem["errors"][0]["parameter"], parameter, "{path}: {problem}");
    }
    assert_eq!(api.get("/nothing").await?.status(), StatusCode::NOT_FOUND);
    let posted = reqwest::Client::new().request(Method::POST, format!("{}/revenue", api.url)).send().await?;
    assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
    Ok(())
}

#[tokio::test]
async fn the_document_has_the_resources_and_their_limits() -> Result<()> {
    let scene = Scene::create().await?;
    let api = Api::start(&scene.database)?;
    let document = get(&api, "/openapi.json").await?;
    let paths: Vec<_> = document["paths"].as_object().into_iter().flat_map(serde_json::Map::keys).collect();
    assert_eq!(paths, ["/orders-by-sku", "/revenue"]);
    for path in paths {
        let responses = &document["paths"][path]["get"]["responses"];
        let statuses: Vec<_> = responses.as_object().into_iter().flat_map(serde_json::Map::keys).collect();
        assert_eq!(statuses, ["200", "400", "401", "403", "408", "429", "431", "500", "503"], "{path}");
        let parameters = document["paths"][path]["get"]["parameters"].as_array().cloned().unwrap_or_default();
        let limit = parameters.iter().find(|parameter| parameter["name"] == "limit");
        assert_eq!(limit.map(|limit| &limit["schema"]["maximum"]), Some(&json!(1_000)), "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn it_is_ready_once_its_views_exist_and_answers_503_until_then() -> Result<()> {
    let database = TestDatabase::create().await?;
    // The role exists as soon as any database has the example.
    let scene = Scene::create().await?;
    let api = Api::start(&database)?;
    readiness::until_ready_is(&api.admin_url, StatusCode::SERVICE_UNAVAILABLE).await?;
    let response = api.get("/revenue").await?;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
    crate::support::migrations()?.up(&database.superuser_url()).await?;
    readiness::until_ready_is(&api.admin_url, StatusCode::OK).await?;
    assert_eq!(get(&api, "/revenue").await?, json!({"revenue": [], "next": null}));
    drop(scene);
    Ok(())
}
