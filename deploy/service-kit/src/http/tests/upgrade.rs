//! Clients that offer another protocol.

use super::*;

/// Adds headers to a request.
fn with(request: &str, headers: &str) -> String {
    request.replacen("host: x\r\n", &format!("host: x\r\n{headers}"), 1)
}

/// As `java.net.http.HttpClient` sends by default, and `curl --http2`.
const H2C: &str = "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n\
                   http2-settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAA\r\n";

const CHUNKED_READ: &str =
    "POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";

#[tokio::test]
async fn a_request_that_offers_h2c_gets_a_response_with_connection_close() {
    let server = start();
    for (request, body) in [(GET, "text"), (POST, "2 bytes"), (CHUNKED_READ, "3 bytes")] {
        let request = with(request, H2C);
        for drip in [false, true] {
            let (response, took) = talk(server.address, &[&request], drip).await.unwrap_or_else(|error| {
                panic!("{drip} {request}: {error}");
            });
            assert!(response.starts_with("HTTP/1.1 200 OK"), "{request}: {response}");
            assert!(
                response.contains("connection: close\r\n") && !response.contains("upgrade"),
                "{response}"
            );
            assert!(response.ends_with(body) && took < SOON, "{took:?} {response}");
        }
    }
}

#[tokio::test]
async fn a_request_for_a_websocket_is_refused_at_once() {
    let server = start();
    let empty = "POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    for request in [GET, POST, LONG_POST, empty] {
        for headers in ["connection: upgrade\r\nupgrade: websocket\r\n", "upgrade: WebSocket\r\n"] {
            let request = with(request, headers);
            let (response, took) = talk(server.address, &[&request], false).await.unwrap_or_else(|error| {
                panic!("{request}: {error}");
            });
            assert!(response.starts_with("HTTP/1.1 400 "), "{request}: {response}");
            assert!(response.contains("/problems/invalid-parameter"), "{request}: {response}");
            assert!(response.contains(r#""header":"Upgrade""#), "{request}: {response}");
            assert!(
                response.contains("connection: close\r\n") && took < SOON,
                "{request}: {took:?} {response}"
            );
        }
    }
    let chunked = with(CHUNKED_READ, "connection: upgrade\r\nupgrade: websocket\r\n");
    let (response, _) = talk(server.address, &[&chunked], false).await.unwrap();
    assert!(response.contains("connection: close\r\n") && response.ends_with("3 bytes"), "{response}");
}
