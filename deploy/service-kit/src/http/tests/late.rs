//! A process that stood still for longer than a limit finds in time what came in time.

use super::*;

/// Longer than a head may take.
const STANDSTILL: Duration = Duration::from_secs(1);

fn with_a_standstill(app: &mut web::ServiceConfig) {
    let hang = || async {
        std::thread::sleep(STANDSTILL);
        HttpResponse::Ok().body("done")
    };
    app.service(get_resource("/hang", web::route().to(hang)));
    routes(app);
}

/// Sends the first part, has the only thread stand still, and sends the second one meanwhile.
async fn across_a_standstill(before: &str, meanwhile: &str) -> (String, bool) {
    let server = start_with(Heartbeats::default(), with_a_standstill);
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(before.as_bytes()).await.unwrap();
    // By then the thread has accepted the connection and read what there was.
    let (answer, _) =
        talk(server.address, &["GET /text HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"], false)
            .await
            .unwrap();
    assert!(answer.ends_with("text"), "{answer}");
    let mut hanging = TcpStream::connect(server.address).await.unwrap();
    hanging.write_all(b"GET /hang HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    tokio::time::sleep(STANDSTILL / 4).await;
    client.write_all(meanwhile.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(15), client.read_to_end(&mut answer)).await;
    let is_closed = matches!(read, Ok(Ok(_)));
    (String::from_utf8(answer).unwrap(), is_closed)
}

#[tokio::test]
async fn a_request_that_waited_in_the_kernel_is_answered() {
    let last = "GET /text HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let cases = [("", last), ("GET /text HTTP/1.1\r\nhost: x\r\n", "connection: close\r\n\r\n"), (GET, last)];
    let all = cases.map(|(before, meanwhile)| across_a_standstill(before, meanwhile));
    for ((before, _), (answer, is_closed)) in cases.iter().zip(futures_util::future::join_all(all).await) {
        assert!(answer.contains("HTTP/1.1 200 OK") && answer.ends_with("text"), "{before:?}: {answer:?}");
        assert!(is_closed && !answer.contains("408"), "{before:?}: {answer}");
    }
}

#[tokio::test]
async fn a_head_that_waited_in_the_kernel_is_read_whole_however_long_it_is() {
    let long = format!("long: {}\r\nconnection: close\r\n\r\n", "x".repeat(25_000));
    let (answer, is_closed) = across_a_standstill("GET /text HTTP/1.1\r\nhost: x\r\n", &long).await;
    assert!(is_closed && answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("text"), "{answer:?}");
}

#[tokio::test]
async fn a_head_that_is_still_unfinished_then_is_refused() {
    let (answer, is_closed) = across_a_standstill(HALF, "st: x\r\n").await;
    assert!(is_closed && answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
}
