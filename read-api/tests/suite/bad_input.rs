//! Bad requests: the problem names the wrong parameter (I9).

use anyhow::{Context, Result};
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Api, SOON, problem};

#[tokio::test]
async fn a_parameter_that_breaks_a_rule_is_400_and_named() -> Result<()> {
    let api = Api::start().await?;
    let too_long = format!("/customers/{}/orders", "c".repeat(129));
    let backwards = "/customers/alice/orders?placed_from=2026-11-23T10:00:00Z&placed_to=2026-11-23T10:00:00Z";
    let after_twice = "/orders?after=00000000-0000-0000-0000-000000000001:1\
                       &after=00000000-0000-0000-0000-000000000001:1";
    for (path, parameter) in [
        ("/customers/alice/orders?limit=0", "limit"),
        ("/customers/alice/orders?limit=101", "limit"),
        ("/customers/alice/orders?limit=-1", "limit"),
        ("/customers/alice/orders?limit=99999999999999999999", "limit"),
        ("/customers/alice/orders?limit=ten", "limit"),
        ("/customers/alice/orders?limit=", "limit"),
        ("/customers/alice/orders?limit=5&limit=6", "limit"),
        ("/customers/alice/orders?Limit=5", "?"),
        ("/customers/alice/orders?limit=5&page=2", "?"),
        ("/customers/alice/orders?status=Paid", "status"),
        ("/customers/alice/orders?status=", "status"),
        ("/customers/alice/orders?status=paid,shipped", "status"),
        ("/customers/alice/orders?status=paid%00", "status"),
        ("/customers/alice/orders?placed_from=2026-11-23", "placed_from"),
        ("/customers/alice/orders?placed_from=2026-02-30T00:00:00Z", "placed_from"),
        ("/customers/alice/orders?placed_from=2026-11-23T10:00:00+01:00", "placed_from"),
        ("/customers/alice/orders?placed_to=yesterday", "placed_to"),
        ("/customers/alice/orders?placed_to=%00", "placed_to"),
        (backwards, "placed_to"),
        ("/customers/alice/orders?cursor=abc", "cursor"),
        ("/customers/alice/orders?cursor=%FF", "cursor"),
        ("/customers/alice/orders?after=", "after"),
        ("/customers/alice/orders?after=:", "after"),
        ("/customers/alice/orders?after=:1", "after"),
        ("/customers/alice/orders?after=00000000-0000-0000-0000-000000000001", "after"),
        ("/customers/alice/orders?after=00000000-0000-0000-0000-000000000001:", "after"),
        ("/customers/alice/orders?after=00000000-0000-0000-0000-000000000001:0", "after"),
        ("/customers/alice/orders?after=00000000-0000-0000-0000-000000000001:-1", "after"),
        ("/customers/alice/orders?after=00000000-0000-0000-0000-000000000001:1.0", "after"),
        ("/customers/alice/orders?after=00000000-0000-0000-0000-000000000001:2147483648", "after"),
        ("/customers/alice/orders?after=00000000-0000-0000-0000-00000000000g:1", "after"),
        ("/customers/alice/orders?after=00000000-0000-0000-0000-000000000001:1:1", "after"),
        (after_twice, "after"),
        ("/customers/alice/orders/stream?after=00000000-0000-0000-0000-000000000001:1", "?"),
        ("/customers/alice/orders?limit=%FF", "limit"),
        ("/customers/alice/orders?limit=%", "limit"),
        ("/customers/alice/orders?limit", "limit"),
        ("/customers/alice/orders?status=%zz", "status"),
        ("/customers/alice/orders?%6Cimit=0", "limit"),
        ("/customers/alice/orders?%FF=1", "?"),
        ("/customers/alice/orders?=1", "?"),
        ("/customers/%FF/orders", "customer_id"),
        ("/customers/%FF/orders/stream", "customer_id"),
        ("/customers/alice/orders/stream?%FF", "?"),
        ("/orders/%FF", "order_id"),
        ("/customers/a%00b/orders", "customer_id"),
        ("/customers/a%0Ab/orders", "customer_id"),
        (&too_long, "customer_id"),
        ("/customers/a%00b/orders/stream", "customer_id"),
        ("/customers/alice/orders/stream?limit=5", "?"),
        ("/customers/alice/orders/stream?last_event_id=1&last_event_id=1", "last_event_id"),
        ("/orders?limit=0", "limit"),
        ("/orders?status=lost", "status"),
        ("/orders?placed_from=2026-11-23", "placed_from"),
        ("/orders?placed_to=yesterday", "placed_to"),
        ("/orders?cursor=abc", "cursor"),
        ("/orders?customer_id=alice", "?"),
        ("/orders?after=1:1", "after"),
        ("/orders/1", "order_id"),
        ("/orders/00000000-0000-0000-0000-00000000000g", "order_id"),
        ("/orders/%00", "order_id"),
        ("/orders/00000000-0000-0000-0000-000000000001?min_verison=2", "?"),
        ("/orders/00000000-0000-0000-0000-000000000001?min_version=0", "min_version"),
        ("/orders/00000000-0000-0000-0000-000000000001?min_version=99999999999", "min_version"),
        ("/orders/00000000-0000-0000-0000-000000000001?min_version=1&min_version=1", "min_version"),
    ] {
        let response = api.get(path).await?;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{path}");
        let problem = problem(response).await?;
        assert_eq!(problem["type"], "/problems/invalid-parameter", "{path}");
        assert_eq!(problem["errors"][0]["parameter"], parameter, "{path}");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.starts_with(&format!("`{parameter}` ")), "{path}: {detail}");
    }
    Ok(())
}

#[tokio::test]
async fn all_wrong_parameters_are_reported_together() -> Result<()> {
    let api = Api::start().await?;
    let problem =
        problem(api.get("/customers/alice/orders?limit=0&status=new&placed_to=now&page=2").await?).await?;
    let named = problem["errors"].as_array().into_iter().flatten().map(|error| error["parameter"].clone());
    assert_eq!(named.collect::<Vec<_>>(), ["limit", "status", "placed_to", "?"]);
    assert_eq!(problem["detail"], "`limit`, `status`, `placed_to`, `?` are invalid; see `errors`.");
    Ok(())
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() -> Result<()> {
    let api = Api::start().await?;
    let probes = ["/livez", "/readyz", "/metrics"];
    for path in ["/customers", "/customers//orders", "/customers/alice", "/orders/", "/docs/no-such-file"]
        .iter()
        .chain(&probes)
    {
        let response = api.get(path).await?;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(problem(response).await?["type"], "/problems/no-such-resource", "{path}");
    }
    for path in [
        "/customers/alice/orders",
        "/orders",
        "/orders/00000000-0000-0000-0000-000000000001",
        "/",
        "/dashboard.js",
        "/openapi.json",
        "/docs/",
    ] {
        let response = reqwest::Client::new().post(format!("{}{path}", api.url)).send().await?;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(response.headers()["allow"], "GET, HEAD");
        assert_eq!(problem(response).await?["type"], "/problems/method-not-allowed");
    }
    Ok(())
}

#[tokio::test]
async fn head_responds_like_get_without_the_body() -> Result<()> {
    let api = Api::start().await?;
    api.insert(&[(1, "alice", 0)]).await?;
    for path in [
        "/customers/alice/orders",
        "/orders",
        "/orders/00000000-0000-0000-0000-000000000001",
        "/",
        "/dashboard.js",
        "/openapi.json",
        "/docs/",
        "/docs/swagger-ui.css",
    ] {
        let get = api.get(path).await?;
        let head = reqwest::Client::new().head(format!("{}{path}", api.url)).send().await?;
        assert_eq!(head.status(), StatusCode::OK, "{path}");
        for name in ["content-type", "content-length", "etag"] {
            assert_eq!(head.headers().get(name), get.headers().get(name), "{path} {name}");
        }
        assert!(head.bytes().await?.is_empty(), "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn a_head_request_for_the_stream_ends_and_every_head_request_closes_its_connection() -> Result<()> {
    let api = Api::start().await?;
    for path in ["/customers/alice/orders/stream", "/customers/alice/orders", "/openapi.json"] {
        let head = reqwest::Client::new().head(format!("{}{path}", api.url)).send();
        let head = tokio::time::timeout(SOON, head).await??;
        assert_eq!(
            (head.status(), &head.headers()["connection"]),
            (StatusCode::OK, &"close".parse()?),
            "{path}"
        );
        assert!(tokio::time::timeout(SOON, head.bytes()).await??.is_empty(), "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_over_http_1_0_has_no_chunks() -> Result<()> {
    let api = Api::start().await?;
    let mut old = tokio::net::TcpStream::connect(api.url.trim_start_matches("http://")).await?;
    old.write_all(b"GET /customers/alice/orders/stream HTTP/1.0\r\n\r\n").await?;
    let mut response = Vec::new();
    let snapshot = async {
        while !response.ends_with(b"\n\n") || !String::from_utf8_lossy(&response).contains("event: snapshot")
        {
            anyhow::ensure!(old.read_buf(&mut response).await? > 0, "the stream has ended");
        }
        Ok(())
    };
    tokio::time::timeout(SOON, snapshot).await??;
    let response = String::from_utf8(response)?;
    let (head, body) = response.split_once("\r\n\r\n").context("no body")?;
    assert!(!head.contains("chunked") && body.starts_with("retry: "), "{response}");
    Ok(())
}

#[tokio::test]
async fn an_error_response_has_a_bounded_size() -> Result<()> {
    let api = Api::start().await?;
    let many: Vec<_> = (0..5_000).map(|number| format!("p{number}")).collect();
    let long = "x".repeat(20_000);
    for path in [
        format!("/customers/alice/orders?{}", many.join("&")),
        format!("/customers/alice/orders?{}", "limit=0&".repeat(3_000)),
        format!("/customers/alice/orders?{long}=1"),
        format!("/customers/alice/orders?status={long}"),
        format!("/customers/alice/orders?cursor={long}"),
        format!("/orders?cursor={long}"),
        format!("/orders?after={long}"),
        format!("/customers/alice/orders/stream?{long}=1"),
        format!("/orders/00000000-0000-0000-0000-000000000001?{long}=1"),
        format!("/orders/00000000-0000-0000-0000-000000000001?min_version={long}"),
        format!("/customers/{long}/orders"),
        format!("/{long}"),
    ] {
        let response = api.get(&path).await?;
        let status = response.status();
        let body = response.text().await?;
        let start: String = path.chars().take(60).collect();
        assert!(status.is_client_error() && body.len() < 10_000, "{start}: {status}, {} bytes", body.len());
    }
    Ok(())
}
