//! A client that still sends can read why it was refused.

use super::*;

/// Sends the request and then as much again, slowly, before it reads. An error where the connection was reset.
async fn send_all_then_read(address: SocketAddr, request: &str) -> io::Result<(String, Duration)> {
    let mut client = TcpStream::connect(address).await?;
    client.write_all(request.as_bytes()).await?;
    for _ in 0..4 {
        tokio::time::sleep(LIMITS.linger / 10).await;
        client.write_all(&[b'x'; 10_000]).await?;
    }
    let start = Instant::now();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), client.read_to_end(&mut answer)).await;
    read.map_err(|_| io::ErrorKind::TimedOut)??;
    Ok((String::from_utf8_lossy(&answer).into_owned(), start.elapsed()))
}

#[tokio::test]
async fn a_head_that_cannot_be_read_is_answered_and_the_client_gets_the_answer_whole() {
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
        let (answer, took) = outcome.unwrap_or_else(|error| panic!("{begin:?}: {error}"));
        assert!(answer.contains(&format!("HTTP/1.1 {status} ")), "{begin:?}: {answer:?}");
        assert!(answer.contains("\r\n\r\n"), "{begin:?}: {answer:?}");
        assert!(took < SOON, "{begin:?}: {took:?}");
    }
}

#[tokio::test]
async fn a_client_that_was_refused_and_sends_on_is_closed() {
    let server = start();
    let (answer, took) = talk(server.address, &["nonsense\r\n\r\n"], true).await.unwrap_or_else(|error| {
        panic!("the answer was lost: {error}");
    });
    assert!(answer.starts_with("HTTP/1.1 400 ") && took < SOON, "{took:?} {answer}");
}
