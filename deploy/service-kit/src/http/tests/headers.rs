//! Headers that every response has.

use super::super::head_end::MAX_HEAD;
use super::*;

const PREFLIGHT: &str = "OPTIONS /text HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                         access-control-request-method: GET\r\n";

#[tokio::test]
async fn no_type_is_guessed_and_no_link_tells_where_it_comes_from() {
    let server = start_listener(Heartbeats::default(), routes, Some("https://shop.example"), 1);
    let with = |head: &str, headers: &str| head.replacen("\r\n\r\n", &format!("\r\n{headers}\r\n\r\n"), 1);
    let text = with(GET, "connection: close");
    let cases = [
        ("200", text.clone()),
        ("200", text.replace("GET", "HEAD")),
        ("405", text.replace("GET", "POST")),
        ("404", text.replace("/text", "/other")),
        ("400", with(GET, "upgrade: websocket")),
        ("200", format!("{PREFLIGHT}origin: https://shop.example\r\n\r\n")),
        ("400", format!("{PREFLIGHT}origin: https://evil.example\r\n\r\n")),
        ("408", HALF.to_owned()),
        ("431", with(GET, &format!("long: {}", "x".repeat(MAX_HEAD)))),
    ];
    let mut responses = Vec::new();
    for (status, request) in &cases {
        responses.push((status, talk(server.address, &[request], false).await.unwrap().0));
    }
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(LONG_POST.replace("/unread", "/read").as_bytes()).await.unwrap();
    server.until_one_is_in_flight().await;
    responses.push((&"503", talk(server.address, &[&text], false).await.unwrap().0));
    for (status, response) in responses {
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {response}");
        for header in ["x-content-type-options: nosniff", "referrer-policy: no-referrer"] {
            assert_eq!(response.matches(&format!("\r\n{header}\r\n")).count(), 1, "{header}: {response}");
        }
    }
}

/// The HTTP library writes them itself, without headers of ours.
#[tokio::test]
async fn a_response_to_what_cannot_be_parsed_has_no_body() {
    let server = start();
    let too_many = format!("GET /text HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(96));
    for (status, request) in [("400", "nonsense\r\n\r\n"), ("431", too_many.as_str())] {
        let (response, _) = talk(server.address, &[request], false).await.unwrap();
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        assert!(response.contains("content-length: 0\r\n") && response.ends_with("\r\n\r\n"), "{response}");
    }
}
