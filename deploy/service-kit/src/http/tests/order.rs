//! Pipelined requests are processed one after the other.

use super::*;

/// The body of a response, and whether it has `connection: close`.
type Expected = (&'static str, bool);

const CHUNKED_READ: &str =
    "POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nt: 1\r\n\r\n";
const SLOW: &str = "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n";
const HEAD: &str = "HEAD /slow HTTP/1.1\r\nhost: x\r\n\r\n";
const HEAD_OF_TEXT: &str = "HEAD /text HTTP/1.1\r\nhost: x\r\n\r\n";
const SLOW_POST: &str = "POST /read_slowly HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n\r\n\r\n";
const OLD: &str = "POST /read HTTP/1.0\r\ncontent-length: 2\r\n\r\nok";

/// Sends all requests in one packet, and split in two at many positions.
async fn check(requests: &[&str], expected: &[Expected]) {
    let server = start();
    let all = requests.concat();
    let cuts = (0..all.len()).step_by(7);
    let talks = cuts.map(|cut| {
        let (one, other) = all.split_at(cut);
        async move { (cut, talk(server.address, &[one, other], false).await) }
    });
    for (cut, outcome) in futures_util::future::join_all(talks).await {
        let (text, _) = outcome.unwrap_or_else(|error| panic!("split at {cut}: {error}"));
        let responses: Vec<_> = text.split("HTTP/1.").skip(1).collect();
        assert_eq!(responses.len(), expected.len(), "split at {cut}: {text}");
        for (response, (body, is_last)) in responses.iter().zip(expected) {
            let (head, sent) = response.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(" 200 OK") && sent == *body, "split at {cut}: {text}");
            assert_eq!(head.contains("connection: close"), *is_last, "split at {cut}: {text}");
        }
    }
}

#[tokio::test]
async fn a_post_with_a_body_and_later_requests_get_their_responses_in_order() {
    let end = ("", true);
    check(&[POST, GET, HEAD], &[("2 bytes", false), ("text", false), end]).await;
    check(
        &[SLOW_POST, POST, SLOW, HEAD_OF_TEXT],
        &[("4 bytes", false), ("2 bytes", false), ("slow", false), end],
    )
    .await;
    check(&[CHUNKED_READ, HEAD], &[("3 bytes", false), end]).await;
    check(
        &[CHUNKED_READ, CHUNKED_READ, GET, HEAD],
        &[("3 bytes", false), ("3 bytes", false), ("text", false), end],
    )
    .await;
    // A response to HTTP/1.0 ends the connection without `connection: close`.
    check(&[SLOW_POST, OLD], &[("4 bytes", false), ("2 bytes", false)]).await;
}

#[tokio::test]
async fn requests_after_a_head_request_are_not_executed() {
    check(&[POST, HEAD, POST], &[("2 bytes", false), ("", true)]).await;
    check(&[CHUNKED_READ, HEAD, CHUNKED_READ, GET], &[("3 bytes", false), ("", true)]).await;
}

#[tokio::test]
async fn requests_after_an_unread_chunked_body_are_not_executed() {
    let unread = CHUNKED_POST.to_owned() + "0\r\n\r\n";
    let server = start();
    for next in [GET, HEAD, POST] {
        let all = format!("{unread}{next}");
        let (response, took) = talk(server.address, &[&all], false).await.unwrap();
        assert_eq!(response.matches("HTTP/1.1 200 OK").count(), 1, "{response}");
        assert!(response.contains("connection: close") && response.ends_with("text"), "{response}");
        assert!(took < SOON, "{took:?}");
    }
}

#[tokio::test]
async fn a_large_body_is_read_whole_and_the_next_request_gets_its_response() {
    let server = start();
    let body = "GET /text HTTP/1.1\r\nhost: x\r\n\r\n".repeat(5_000);
    let length = body.len();
    let request = format!("POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}{HEAD}");
    let chunk = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let chunked =
        format!("POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{chunk}{HEAD}");
    for request in [request, chunked] {
        let (response, _) = talk(server.address, &[&request], false).await.unwrap();
        assert!(response.contains(&format!("\r\n\r\n{length} bytes")), "{response}");
        assert_eq!(response.matches("HTTP/1.1 200 OK").count(), 2, "{response}");
    }
}

#[tokio::test]
async fn a_client_that_expects_100_continue_gets_it() {
    let server = start();
    let head = "POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n";
    let (response, _) = talk(server.address, &[head, "ok", HEAD], false).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"), "{response}");
    assert!(response.contains("\r\n\r\n2 bytesHTTP/1.1 200 OK"), "{response}");
}

#[tokio::test]
async fn a_client_with_a_large_unread_body_can_read_its_response() {
    let server = start();
    let body = "x".repeat(500_000);
    let request = format!("POST /unread HTTP/1.1\r\nhost: x\r\ncontent-length: 600000\r\n\r\n{body}");
    let (response, _) = talk(server.address, &[&request], true).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK") && response.ends_with("text"), "{response}");
}
