//! The stop of the server, and threads that hang.

use super::*;

#[tokio::test]
async fn once_the_stop_has_begun_responses_end_their_connections() {
    let server = start();
    server.closing.cancel();
    for request in [GET, POST] {
        let (response, took) = talk(server.address, &[request], false).await.unwrap();
        assert!(response.contains("connection: close") && took < SOON, "{took:?} {response}");
    }
}

#[tokio::test]
async fn connections_without_requests_do_not_delay_the_end() {
    let server = start();
    let unused = TcpStream::connect(server.address).await.unwrap();
    let mut used = TcpStream::connect(server.address).await.unwrap();
    used.write_all(GET.as_bytes()).await.unwrap();
    assert!(used.read(&mut [0; 1_024]).await.unwrap() > 0);
    let start = Instant::now();
    server.handle.stop(true).await;
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    // Until here neither client has closed.
    drop((unused, used));
}

#[tokio::test]
async fn a_hanging_thread_is_detected_and_an_ended_one_does_not_count() {
    let heartbeats = Heartbeats::with_limit(Duration::from_millis(500));
    let server = start_with(heartbeats.clone(), |app| {
        let hang = || async {
            std::thread::sleep(Duration::from_millis(1_500));
            HttpResponse::Ok().body("done")
        };
        app.service(get_resource("/hang", Access::Open, web::route().to(hang)));
    });
    let until = async |expected: bool| {
        let start = Instant::now();
        while heartbeats.are_recent() != expected {
            assert!(start.elapsed() < Duration::from_secs(10), "still {}", !expected);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    until(true).await;
    let request = "GET /hang HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let parts = [request];
    let ((), response) = tokio::join!(until(false), talk(server.address, &parts, false));
    response.unwrap();
    until(true).await;
    drop(server);
    tokio::time::sleep(Duration::from_millis(700)).await;
    until(true).await;
}
