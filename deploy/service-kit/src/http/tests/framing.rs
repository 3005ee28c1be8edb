//! Responses to HEAD, to HTTP/1.0 and to pipelined requests are framed correctly.

use super::*;

#[tokio::test]
async fn pipelined_get_and_head_requests_each_get_the_right_response() {
    let server = start();
    let request = |method: &str, path: &str| format!("{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    for paths in ["/text", "/slow"] {
        let both = request("GET", paths) + &request("GET", paths) + &request("HEAD", paths);
        let (response, _) = talk(server.address, &[&both], false).await.unwrap();
        let responses: Vec<_> = response.split("HTTP/1.1 200 OK\r\n").skip(1).collect();
        assert_eq!(responses.len(), 3, "{response}");
        let bodies: Vec<_> =
            responses.iter().filter_map(|response| response.split("\r\n\r\n").nth(1)).collect();
        assert_eq!(bodies, [&paths[1..], &paths[1..], ""], "{response}");
        assert!(
            responses[2].contains("content-length: 4") && responses[2].contains("connection: close"),
            "{response}"
        );
    }
    // A request after a HEAD gets no response: the connection is closed.
    let both = request("HEAD", "/slow") + &request("GET", "/slow");
    let (response, _) = talk(server.address, &[&both], false).await.unwrap();
    assert!(response.matches("HTTP/1.1").count() == 1 && response.ends_with("\r\n\r\n"), "{response}");
}

#[tokio::test]
async fn a_head_request_for_a_stream_ends_and_http_10_gets_no_chunks() {
    let server = start();
    let (response, took) =
        talk(server.address, &["HEAD /endless HTTP/1.1\r\nhost: x\r\n\r\n"], false).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK") && response.ends_with("\r\n\r\n"), "{response}");
    assert!(took < SOON, "{took:?}");
    let mut old = TcpStream::connect(server.address).await.unwrap();
    old.write_all(b"GET /endless HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").await.unwrap();
    let mut response = Vec::new();
    while !response.ends_with(b"ticktick") {
        assert!(old.read_buf(&mut response).await.unwrap() > 0);
    }
    let response = String::from_utf8(response).unwrap();
    assert!(!response.contains("chunked") && !response.contains("keep-alive"), "{response}");
    assert!(response.split_once("\r\n\r\n").unwrap().1.starts_with("ticktick"), "{response}");
}
