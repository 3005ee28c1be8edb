//! Requests whose media type, size, speed, path or method is refused get a problem document (I9).

use anyhow::Result;
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Api, order, problem};

#[tokio::test]
async fn a_body_with_another_media_type_is_415() -> Result<()> {
    let api = Api::start().await?;
    for content_type in [None, Some("text/plain"), Some("application/xml"), Some("nonsense")] {
        let mut request = api.client.post(format!("{}/orders", api.url)).body(order().to_string());
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let response = request.send().await?;
        assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type:?}");
        let problem = problem(response).await?;
        assert_eq!(problem["type"], "/problems/unsupported-media-type");
        assert_eq!(problem["errors"][0]["header"], "Content-Type", "{content_type:?}");
    }
    let request =
        api.client.post(format!("{}/orders", api.url)).json(&order()).header("content-encoding", "gzip");
    let response = request.send().await?;
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(problem(response).await?["errors"][0]["header"], "Content-Encoding");
    let request = api.client.post(format!("{}/orders", api.url)).body(order().to_string());
    let response = request.header("content-type", "application/json; charset=utf-8").send().await?;
    assert_eq!(response.status(), StatusCode::CREATED);
    Ok(())
}

/// Sends raw bytes, and reads until the server closes the connection or the problem document ends.
async fn raw(api: &Api, head: &str, body: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(api.url.trim_start_matches("http://")).await?;
    stream
        .write_all(format!("POST /orders HTTP/1.1\r\nhost: localhost\r\n{head}\r\n\r\n").as_bytes())
        .await?;
    // The server may respond and close before it has read everything.
    let _refused_early = stream.write_all(body).await;
    let mut response = Vec::new();
    let mut chunk = [0; 4096];
    while !response.ends_with(b"}") {
        match tokio::time::timeout(std::time::Duration::from_secs(10), stream.read(&mut chunk)).await? {
            Ok(read) if read > 0 => response.extend_from_slice(chunk.get(..read).unwrap_or_default()),
            _ => break,
        }
    }
    Ok(String::from_utf8(response)?)
}

#[tokio::test]
async fn a_body_over_one_mebibyte_is_413_with_or_without_a_content_length() -> Result<()> {
    let api = Api::start().await?;
    let announced = "content-type: application/json\r\ncontent-length: 1048577";
    let response = raw(&api, announced, b"").await?;
    assert!(
        response.starts_with("HTTP/1.1 413 ") && response.contains("/problems/body-too-large"),
        "{response}"
    );

    let chunked = "content-type: application/json\r\ntransfer-encoding: chunked";
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let response = raw(&api, chunked, chunk.repeat(17).as_bytes()).await?;
    assert!(
        response.starts_with("HTTP/1.1 413 ") && response.contains("/problems/body-too-large"),
        "{response}"
    );
    Ok(())
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_408_and_stores_nothing() -> Result<()> {
    let api = Api::start().await?;
    let head = "content-type: application/json\r\ncontent-length: 1000";
    let response = raw(&api, head, order().to_string().as_bytes()).await?;
    assert!(
        response.starts_with("HTTP/1.1 408 ") && response.contains("/problems/body-too-slow"),
        "{response}"
    );
    assert_eq!(api.stored().await?, (0, 0));
    Ok(())
}

#[tokio::test]
async fn other_paths_and_methods_get_problem_documents() -> Result<()> {
    let api = Api::start().await?;
    for path in ["/", "/order", "/orders/", "/orders/x", "/livez", "/readyz", "/metrics", "/docs/x", "/%00"] {
        let response = api.get(path).await?;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(problem(response).await?["type"], "/problems/no-such-resource");
    }
    for method in [reqwest::Method::GET, reqwest::Method::PUT, reqwest::Method::DELETE] {
        let response = api.client.request(method, format!("{}/orders", api.url)).send().await?;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()["allow"], "POST");
        assert_eq!(problem(response).await?["type"], "/problems/method-not-allowed");
    }
    Ok(())
}
