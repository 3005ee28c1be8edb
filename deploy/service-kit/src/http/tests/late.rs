//! After a suspension longer than a limit, the process still accepts bytes that arrived in time.

use super::*;

/// Longer than a head may take.
const SUSPENSION: Duration = Duration::from_secs(1);

fn with_a_suspension(app: &mut web::ServiceConfig) {
    let hang = || async {
        std::thread::sleep(SUSPENSION);
        HttpResponse::Ok().body("done")
    };
    app.service(get_resource("/hang", Access::Open, web::route().to(hang)));
    routes(app);
}

/// Sends the first part, suspends the only thread, and sends the second part during the suspension.
async fn across_a_suspension(before: &str, during: &str) -> (String, bool) {
    let server = start_with(Heartbeats::default(), with_a_suspension);
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(before.as_bytes()).await.unwrap();
    // After this response the thread has accepted the connection above and read the first part.
    let (response, _) =
        talk(server.address, &["GET /text HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"], false)
            .await
            .unwrap();
    assert!(response.ends_with("text"), "{response}");
    let mut hanging = TcpStream::connect(server.address).await.unwrap();
    hanging.write_all(b"GET /hang HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    tokio::time::sleep(SUSPENSION / 4).await;
    client.write_all(during.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(15), client.read_to_end(&mut response)).await;
    let is_closed = matches!(read, Ok(Ok(_)));
    (String::from_utf8(response).unwrap(), is_closed)
}

#[tokio::test]
async fn a_request_that_waited_in_the_kernel_gets_its_response() {
    let last = "GET /text HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let cases = [("", last), ("GET /text HTTP/1.1\r\nhost: x\r\n", "connection: close\r\n\r\n"), (GET, last)];
    let all = cases.map(|(before, during)| across_a_suspension(before, during));
    for ((before, _), (response, is_closed)) in cases.iter().zip(futures_util::future::join_all(all).await) {
        assert!(
            response.contains("HTTP/1.1 200 OK") && response.ends_with("text"),
            "{before:?}: {response:?}"
        );
        assert!(is_closed && !response.contains("HTTP/1.1 408"), "{before:?}: {response}");
    }
}

#[tokio::test]
async fn a_long_head_that_waited_in_the_kernel_is_read_whole() {
    let long = format!("long: {}\r\nconnection: close\r\n\r\n", "x".repeat(25_000));
    let (response, is_closed) = across_a_suspension("GET /text HTTP/1.1\r\nhost: x\r\n", &long).await;
    assert!(
        is_closed && response.starts_with("HTTP/1.1 200 OK") && response.ends_with("text"),
        "{response:?}"
    );
}

#[tokio::test]
async fn a_head_that_is_still_unfinished_is_refused() {
    let (response, is_closed) = across_a_suspension(HALF, "st: x\r\n").await;
    assert!(is_closed && response.starts_with("HTTP/1.1 408 "), "{response:?}");
}
