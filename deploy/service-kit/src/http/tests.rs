//! Connections that do not end by themselves, requests that come behind others, and threads that hang.

mod late;
mod order;
mod refused;
mod upgrade;

use std::time::{Duration, Instant};

use actix_web::{HttpResponse, web};
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::metrics::Registry;
use crate::resource::{get_resource, post_resource};

/// Short limits, far enough from each other to be told apart on a busy machine.
const LIMITS: Limits = Limits {
    head: Duration::from_millis(600),
    unread_body: Duration::from_millis(600),
    keep_alive: Duration::from_secs(4),
    linger: Duration::from_millis(300),
    stall: Duration::from_secs(10),
};

/// What ends by `head` or `unread_body` has ended by then, and what ends by `keep_alive` has not.
const SOON: Duration = Duration::from_millis(2_500);

struct TestServer {
    address: SocketAddr,
    closing: Closing,
    handle: actix_server::ServerHandle,
    _running: AbortOnDropHandle<io::Result<()>>,
}

fn routes(app: &mut web::ServiceConfig) {
    let text = || async { HttpResponse::Ok().body("text") };
    let slow = || async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        HttpResponse::Ok().body("slow")
    };
    let read = |body: web::Bytes| async move { HttpResponse::Ok().body(format!("{} bytes", body.len())) };
    let read_slowly = |body: web::Bytes| async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        HttpResponse::Ok().body(format!("{} bytes", body.len()))
    };
    let endless = || async {
        let ticks = stream::repeat(web::Bytes::from_static(b"tick")).then(|tick| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok::<_, std::convert::Infallible>(tick)
        });
        HttpResponse::Ok().streaming(ticks)
    };
    app.service(get_resource("/text", web::route().to(text)))
        .service(get_resource("/slow", web::route().to(slow)))
        .service(get_resource("/endless", web::route().to(endless)))
        .service(post_resource("/read_slowly", web::route().to(read_slowly)))
        .service(post_resource("/read", web::route().to(read)))
        .service(post_resource("/unread", web::route().to(text)));
}

fn start_with(heartbeats: Heartbeats, routes: fn(&mut web::ServiceConfig)) -> TestServer {
    let socket = listen(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    let closing = Closing::default();
    let listener = Listener {
        socket,
        workers: 1,
        max_connections: 100,
        limits: LIMITS,
        drain_limit_s: 15,
        stats: Stats::register(&Registry::new(&[]).unwrap(), "test"),
        closing: closing.clone(),
        heartbeats,
    };
    let server = listener.serve(routes).unwrap();
    let handle = server.handle();
    let running = tokio::spawn(server);
    TestServer { address, closing, handle, _running: AbortOnDropHandle::new(running) }
}

fn start() -> TestServer {
    start_with(Heartbeats::default(), routes)
}

/// Sends the parts with a pause before each but the first, and the last one again and again with `drip`. What came back until the
/// server closed, and how long that took after the first part; an error where the connection was reset.
async fn talk(address: SocketAddr, parts: &[&str], drip: bool) -> io::Result<(String, Duration)> {
    let (mut reader, mut writer) = TcpStream::connect(address).await?.into_split();
    let start = Instant::now();
    let parts: Vec<_> = parts.iter().map(|part| (*part).to_owned()).collect();
    let sending: tokio::task::JoinHandle<io::Result<()>> = tokio::spawn(async move {
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            writer.write_all(part.as_bytes()).await?;
        }
        let mut pause = tokio::time::interval(Duration::from_millis(40));
        loop {
            pause.tick().await;
            // Without it the client just keeps its side open.
            if drip {
                writer.write_all(b"x").await?;
            }
        }
    });
    let _sending = AbortOnDropHandle::new(sending);
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), reader.read_to_end(&mut answer)).await;
    read.map_err(|_| io::ErrorKind::TimedOut)??;
    Ok((String::from_utf8_lossy(&answer).into_owned(), start.elapsed()))
}

const GET: &str = "GET /text HTTP/1.1\r\nhost: x\r\n\r\n";
const POST: &str = "POST /read HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nok";
const CHUNKED: &str = "GET /text HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
const CHUNKED_POST: &str =
    "POST /unread HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
const LONG: &str = "GET /text HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nhello";
const LONG_POST: &str = "POST /unread HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nhello";
const HALF: &str = "GET /text HTTP/1.1\r\nho";

#[tokio::test]
async fn a_head_that_does_not_end_is_answered_408_and_ends_its_connection() {
    let server = start();
    let whole_and_half = format!("{GET}{HALF}");
    let cases: [&[&str]; 7] = [
        &[HALF],
        &["P"],
        &[GET, HALF],
        &[GET, GET, "G"],
        &[&whole_and_half],
        &[POST, HALF],
        &[POST, "POST /read HTTP/1.1\r\n"],
    ];
    let all = cases.into_iter().flat_map(|parts| [(parts, false), (parts, true)]);
    let talks =
        all.map(|(parts, drip)| async move { (parts, drip, talk(server.address, parts, drip).await) });
    for (parts, drip, outcome) in futures_util::future::join_all(talks).await {
        let (answer, took) = outcome.unwrap_or_else(|error| panic!("{parts:?} {drip}: {error}"));
        let (_, refusal) =
            answer.rsplit_once("HTTP/1.1 408 ").unwrap_or_else(|| panic!("{parts:?} {drip}: {answer}"));
        assert!(refusal.contains("/problems/head-too-slow"), "{refusal}");
        assert!(took > LIMITS.head && took < SOON, "{parts:?} {drip}: {took:?}");
    }
}

#[tokio::test]
async fn a_body_that_nobody_reads_ends_its_connection_soon_after_the_response() {
    let server = start();
    let cases: [&[&str]; 7] = [
        &[CHUNKED],
        &[CHUNKED_POST],
        &[LONG],
        &[LONG_POST],
        &[GET, CHUNKED],
        &[POST, CHUNKED_POST],
        &[GET, LONG_POST],
    ];
    let all = cases.into_iter().flat_map(|parts| [(parts, false), (parts, true)]);
    let talks =
        all.map(|(parts, drip)| async move { (parts, drip, talk(server.address, parts, drip).await) });
    for (parts, drip, outcome) in futures_util::future::join_all(talks).await {
        let (answer, took) = outcome.unwrap_or_else(|error| panic!("{parts:?} {drip}: {error}"));
        assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), parts.len(), "{parts:?} {drip}: {answer}");
        assert_eq!(answer.matches("connection: close").count(), 1, "the client knows: {answer}");
        assert!(took < SOON, "{parts:?} {drip}: {took:?}");
    }
}

#[tokio::test]
async fn a_connection_without_requests_ends_with_its_time_and_without_an_answer() {
    let server = start();
    let (silent, used) = tokio::join!(talk(server.address, &[], false), talk(server.address, &[GET], false));
    let (answer, took) = silent.unwrap();
    assert_eq!(answer, "");
    assert!(took > LIMITS.head && took < SOON, "{took:?}");
    let (answer, took) = used.unwrap();
    assert!(answer.ends_with("text"), "{answer}");
    assert!(took > LIMITS.keep_alive && took < 2 * LIMITS.keep_alive, "{took:?}");
}

#[tokio::test]
async fn a_connection_that_is_used_is_kept_beyond_every_limit() {
    let server = start();
    let mut client = TcpStream::connect(server.address).await.unwrap();
    let start = Instant::now();
    while start.elapsed() < LIMITS.keep_alive + Duration::from_secs(1) {
        for (request, expected) in [(GET, "text"), (POST, "2 bytes")] {
            client.write_all(request.as_bytes()).await.unwrap();
            let mut answer = [0; 1_024];
            let length = client.read(&mut answer).await.unwrap();
            assert!(
                String::from_utf8_lossy(&answer[..length]).ends_with(expected),
                "after {:?}",
                start.elapsed()
            );
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test]
async fn a_response_outlasts_the_limits_of_heads_and_bodies() {
    let server = start();
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let start = Instant::now();
    let mut answer = [0; 1_024];
    while start.elapsed() < LIMITS.keep_alive + Duration::from_secs(1) {
        assert!(client.read(&mut answer).await.unwrap() > 0, "ended after {:?}", start.elapsed());
    }
}

#[tokio::test]
async fn pipelined_gets_and_heads_are_each_answered_as_what_they_are() {
    let server = start();
    let request = |method: &str, path: &str| format!("{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    for paths in ["/text", "/slow"] {
        let both = request("GET", paths) + &request("GET", paths) + &request("HEAD", paths);
        let (answer, _) = talk(server.address, &[&both], false).await.unwrap();
        let answers: Vec<_> = answer.split("HTTP/1.1 200 OK\r\n").skip(1).collect();
        assert_eq!(answers.len(), 3, "{answer}");
        let bodies: Vec<_> = answers.iter().filter_map(|answer| answer.split("\r\n\r\n").nth(1)).collect();
        assert_eq!(bodies, [&paths[1..], &paths[1..], ""], "{answer}");
        assert!(
            answers[2].contains("content-length: 4") && answers[2].contains("connection: close"),
            "{answer}"
        );
    }
    // What comes behind a HEAD has no answer: the connection is closed.
    let both = request("HEAD", "/slow") + &request("GET", "/slow");
    let (answer, _) = talk(server.address, &[&both], false).await.unwrap();
    assert!(answer.matches("HTTP/1.1").count() == 1 && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn head_of_a_stream_ends_and_http_10_gets_no_chunks() {
    let server = start();
    let (answer, took) =
        talk(server.address, &["HEAD /endless HTTP/1.1\r\nhost: x\r\n\r\n"], false).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert!(took < SOON, "{took:?}");
    let mut old = TcpStream::connect(server.address).await.unwrap();
    old.write_all(b"GET /endless HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"ticktick") {
        assert!(old.read_buf(&mut answer).await.unwrap() > 0);
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(!answer.contains("chunked") && !answer.contains("keep-alive"), "{answer}");
    assert!(answer.split_once("\r\n\r\n").unwrap().1.starts_with("ticktick"), "{answer}");
}

#[tokio::test]
async fn a_client_of_half_a_megabyte_of_unread_body_can_read_its_answer() {
    let server = start();
    let body = "x".repeat(500_000);
    let request = format!("POST /unread HTTP/1.1\r\nhost: x\r\ncontent-length: 600000\r\n\r\n{body}");
    let (answer, _) = talk(server.address, &[&request], true).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("text"), "{answer}");
}

#[tokio::test]
async fn once_the_stop_has_begun_responses_end_their_connections() {
    let server = start();
    server.closing.begin();
    for request in [GET, POST] {
        let (answer, took) = talk(server.address, &[request], false).await.unwrap();
        assert!(answer.contains("connection: close") && took < SOON, "{took:?} {answer}");
    }
}

#[tokio::test]
async fn connections_without_requests_do_not_hold_up_the_end() {
    let server = start();
    let unused = TcpStream::connect(server.address).await.unwrap();
    let mut used = TcpStream::connect(server.address).await.unwrap();
    used.write_all(GET.as_bytes()).await.unwrap();
    assert!(used.read(&mut [0; 1_024]).await.unwrap() > 0);
    let start = Instant::now();
    server.handle.stop(true).await;
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    // Neither client has closed.
    drop((unused, used));
}

#[tokio::test]
async fn a_thread_that_hangs_is_noticed_and_one_that_has_ended_is_forgotten() {
    let heartbeats = Heartbeats::with_limit(Duration::from_millis(500));
    let server = start_with(heartbeats.clone(), |app| {
        let hang = || async {
            std::thread::sleep(Duration::from_millis(1_500));
            HttpResponse::Ok().body("done")
        };
        app.service(get_resource("/hang", web::route().to(hang)));
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
    let ((), answer) = tokio::join!(until(false), talk(server.address, &parts, false));
    answer.unwrap();
    until(true).await;
    drop(server);
    tokio::time::sleep(Duration::from_millis(700)).await;
    until(true).await;
}
