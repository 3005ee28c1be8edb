//! A client that still sends can read its error response.

use super::super::head_end::MAX_HEAD;
use super::*;

/// Sends the request and slowly more bytes before it reads. An error means that the connection was reset.
async fn send_all_then_read(address: SocketAddr, request: &str) -> io::Result<(String, Duration)> {
    let mut client = TcpStream::connect(address).await?;
    client.write_all(request.as_bytes()).await?;
    for _ in 0..4 {
        tokio::time::sleep(LIMITS.linger / 10).await;
        client.write_all(&[b'x'; 10_000]).await?;
    }
    let start = Instant::now();
    let mut response = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), client.read_to_end(&mut response)).await;
    read.map_err(|_| io::ErrorKind::TimedOut)??;
    Ok((String::from_utf8_lossy(&response).into_owned(), start.elapsed()))
}

#[tokio::test]
async fn a_malformed_head_gets_a_response_that_arrives_whole() {
    let server = start();
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n", "x".repeat(200_000));
    let nonsense = format!("nonsense\r\n\r\n{}", "x".repeat(100_000));
    let second = format!("{GET}{nonsense}");
    let chunks = format!(
        "POST /read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nno size\r\n{}",
        "x".repeat(100_000)
    );
    for (request, status) in [(long, "431"), (nonsense, "400"), (second, "400"), (chunks, "400")] {
        let begin = &request[..20];
        let outcome = send_all_then_read(server.address, &request).await;
        let (response, took) = outcome.unwrap_or_else(|error| panic!("{begin:?}: {error}"));
        assert!(response.contains(&format!("HTTP/1.1 {status} ")), "{begin:?}: {response:?}");
        assert!(response.contains("\r\n\r\n"), "{begin:?}: {response:?}");
        assert!(took < SOON, "{begin:?}: {took:?}");
    }
}

#[tokio::test]
async fn a_refused_client_that_still_sends_is_disconnected() {
    let server = start();
    let (response, took) = talk(server.address, &["nonsense\r\n\r\n"], true).await.unwrap_or_else(|error| {
        panic!("the response was lost: {error}");
    });
    assert!(response.starts_with("HTTP/1.1 400 ") && took < SOON, "{took:?} {response}");
}

/// A request whose head has this many bytes.
fn with_length(length: usize) -> String {
    let head = "GET /text HTTP/1.1\r\nhost: x\r\nconnection: close\r\nlong: \r\n\r\n";
    head.replace("long: ", &format!("long: {}", "x".repeat(length - head.len())))
}

#[tokio::test]
async fn a_head_has_32_kib_at_most() {
    let server = start();
    let (response, _) = talk(server.address, &[&with_length(MAX_HEAD)], false).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK") && response.ends_with("text"), "{response}");
    let whole = with_length(MAX_HEAD + 1);
    let longer = with_length(MAX_HEAD + 5);
    let half = longer.trim_end();
    for parts in [&[whole.as_str()][..], &[half], &[GET, &whole], &[POST, half]] {
        for drip in [false, true] {
            let (response, took) = talk(server.address, parts, drip).await.unwrap_or_else(|error| {
                panic!("{}, {drip}: {error}", parts.len());
            });
            assert_eq!(response.matches("HTTP/1.1 200 OK").count(), parts.len() - 1, "{response}");
            let (_, refusal) =
                response.rsplit_once("HTTP/1.1 431 ").unwrap_or_else(|| panic!("{response:?}"));
            assert!(refusal.contains("connection: close"), "{response}");
            assert!(refusal.contains("/problems/head-too-large") && refusal.ends_with('}'), "{response}");
            // Long before the head is too slow.
            assert!(took < SOON, "{took:?}");
        }
    }
}

#[tokio::test]
async fn a_head_has_96_fields_at_most() {
    let server = start();
    // With `host` and `connection`.
    for (further, status) in [(94, "200"), (95, "431")] {
        let fields = "x: y\r\n".repeat(further);
        let head = format!("GET /text HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{fields}\r\n");
        let (response, _) = talk(server.address, &[&head], false).await.unwrap();
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{further}: {response}");
    }
}
