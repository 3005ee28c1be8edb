//! Pages of other origins.

use super::*;

const SHOP: &str = "https://shop.example";

async fn send(server: &TestServer, method: &str, headers: &str) -> String {
    let head = format!("{method} /text HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n\r\n");
    talk(server.address, &[&head], false).await.unwrap().0
}

#[tokio::test]
async fn a_page_of_a_named_origin_may_use_the_api_and_others_may_not() {
    let server = start_listener(Heartbeats::default(), routes, Some(SHOP), 100);
    let preflight = |origin: &str| {
        format!(
            "origin: {origin}\r\naccess-control-request-method: POST\r\naccess-control-request-headers: \
             authorization,idempotency-key"
        )
    };
    let allowed = send(&server, "OPTIONS", &preflight(SHOP)).await;
    assert!(allowed.starts_with("HTTP/1.1 200 "), "{allowed}");
    assert!(allowed.contains(&format!("access-control-allow-origin: {SHOP}")), "{allowed}");
    assert!(!allowed.contains("access-control-allow-credentials"), "{allowed}");
    for other in ["https://evil.example", "https://shop.example.evil.example", "null"] {
        let refused = send(&server, "OPTIONS", &preflight(other)).await;
        assert!(!refused.contains("access-control-allow-origin"), "{other}: {refused}");
        let response = send(&server, "GET", &format!("origin: {other}")).await;
        assert!(!response.contains("access-control-allow-origin"), "{other}: {response}");
    }
    let response = send(&server, "GET", &format!("origin: {SHOP}")).await;
    assert!(response.starts_with("HTTP/1.1 200 ") && response.ends_with("text"), "{response}");
    let exposed = response.lines().find(|line| line.starts_with("access-control-expose-headers: ")).unwrap();
    assert!(exposed.contains("etag") && exposed.contains("retry-after"), "{exposed}");
    // Errors too: the page could not read them otherwise.
    let refused = send(&server, "POST", &format!("origin: {SHOP}")).await;
    assert!(refused.starts_with("HTTP/1.1 405 "), "{refused}");
    assert!(refused.contains(&format!("access-control-allow-origin: {SHOP}")), "{refused}");
}

#[tokio::test]
async fn without_origins_no_response_has_a_header_for_other_pages() {
    let server = start();
    for method in ["GET", "OPTIONS", "POST"] {
        let response = send(&server, method, &format!("origin: {SHOP}")).await;
        assert!(!response.contains("access-control-"), "{response}");
        assert!(response.contains("x-content-type-options: nosniff"), "{response}");
    }
}
