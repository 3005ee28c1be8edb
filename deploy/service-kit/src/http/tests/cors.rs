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
        assert!(is_problem_with(&refused, "Origin"), "{other}: {refused}");
        let response = send(&server, "GET", &format!("origin: {other}")).await;
        assert!(!response.contains("access-control-allow-origin"), "{other}: {response}");
    }
    let response = send(&server, "GET", &format!("origin: {SHOP}")).await;
    assert!(response.starts_with("HTTP/1.1 200 ") && response.ends_with("text"), "{response}");
    let exposed = response.lines().find(|line| line.starts_with("access-control-expose-headers: ")).unwrap();
    assert!(exposed.contains("etag") && exposed.contains("retry-after"), "{exposed}");
    let method = "access-control-request-method: ";
    for (name, headers) in [
        ("Access-Control-Request-Method", format!("{method}DELETE")),
        ("Access-Control-Request-Headers", format!("{method}GET\r\naccess-control-request-headers: x-other")),
    ] {
        let refused = send(&server, "OPTIONS", &format!("origin: {SHOP}\r\n{headers}")).await;
        assert!(is_problem_with(&refused, name), "{name}: {refused}");
    }
}

fn is_problem_with(response: &str, header: &str) -> bool {
    response.starts_with("HTTP/1.1 400 ")
        && response.contains("content-type: application/problem+json")
        && response.contains("/problems/invalid-parameter")
        && response.contains(&format!(r#""header":"{header}""#))
}

/// A page could not read them otherwise.
#[tokio::test]
async fn errors_too_have_the_headers_for_a_page_of_a_named_origin() {
    let server = start_listener(Heartbeats::default(), routes, Some(SHOP), 1);
    let origin = format!("origin: {SHOP}");
    let websocket = format!("{origin}\r\nconnection: upgrade\r\nupgrade: websocket");
    let check = async |status: &str, method: &str, path: &str, headers: &str| {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n\r\n");
        let response = talk(server.address, &[&head], false).await.unwrap().0;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        assert!(response.contains(&format!("access-control-allow-origin: {SHOP}\r\n")), "{response}");
        assert!(response.contains("access-control-expose-headers: "), "{response}");
    };
    check("405", "POST", "/text", &origin).await;
    check("404", "GET", "/no-such-resource", &origin).await;
    check("400", "GET", "/text", &websocket).await;
    // One that sends its body slowly is in flight.
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(LONG_POST.replace("/unread", "/read").as_bytes()).await.unwrap();
    server.until_one_is_in_flight().await;
    check("503", "GET", "/text", &origin).await;
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
