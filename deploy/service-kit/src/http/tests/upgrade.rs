//! Clients that offer another protocol.

use super::*;

/// A request with these headers besides the usual ones.
fn with(request: &str, headers: &str) -> String {
    request.replacen("host: x\r\n", &format!("host: x\r\n{headers}"), 1)
}

/// As `java.net.http.HttpClient` does by default, and `curl --http2`.
const H2C: &str = "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAA\r\n";

const CHUNKED_READ: &str =
    "POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";

#[tokio::test]
async fn a_request_that_offers_h2c_is_answered_and_the_client_knows_that_the_connection_ends() {
    let server = start();
    for (request, body) in [(GET, "text"), (POST, "2 bytes"), (CHUNKED_READ, "3 bytes")] {
        let request = with(request, H2C);
        for drip in [false, true] {
            let (answer, took) = talk(server.address, &[&request], drip).await.unwrap_or_else(|error| {
                panic!("{drip} {request}: {error}");
            });
            assert!(answer.starts_with("HTTP/1.1 200 OK"), "{request}: {answer}");
            assert!(answer.contains("connection: close\r\n") && !answer.contains("upgrade"), "{answer}");
            assert!(answer.ends_with(body) && took < SOON, "{took:?} {answer}");
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
            let (answer, took) = talk(server.address, &[&request], false).await.unwrap_or_else(|error| {
                panic!("{request}: {error}");
            });
            assert!(answer.starts_with("HTTP/1.1 400 "), "{request}: {answer}");
            assert!(answer.contains("/problems/invalid-parameter"), "{request}: {answer}");
            assert!(answer.contains(r#""header":"Upgrade""#), "{request}: {answer}");
            assert!(answer.contains("connection: close\r\n") && took < SOON, "{request}: {took:?} {answer}");
        }
    }
    let chunked = with(CHUNKED_READ, "connection: upgrade\r\nupgrade: websocket\r\n");
    let (answer, _) = talk(server.address, &[&chunked], false).await.unwrap();
    assert!(answer.contains("connection: close\r\n") && answer.ends_with("3 bytes"), "{answer}");
}
