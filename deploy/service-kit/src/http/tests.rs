//! Tests of the whole listener with a raw client.

mod cors;
mod cut_metrics;
mod framing;
mod headers;
mod in_flight;
mod late;
mod order;
mod refused;
mod request_ids;
mod request_metrics;
mod start;
mod stop;
mod upgrade;

use std::time::{Duration, Instant};

use actix_web::{HttpResponse, web};
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::access_log::AccessLog;
use super::cors::CorsOrigins;
use super::*;
use crate::auth::Access;
use crate::metrics::Registry;
use crate::resource::{get_resource, post_resource};

/// Short limits, far enough apart to distinguish them on a busy machine.
const LIMITS: Limits = Limits {
    head: Duration::from_millis(600),
    unread_body: Duration::from_millis(600),
    keep_alive: Duration::from_secs(4),
    linger: Duration::from_millis(300),
    stall_limit: Duration::from_secs(10),
};

/// Longer than `head` and `unread_body`, shorter than `keep_alive`.
const SOON: Duration = Duration::from_millis(2_500);

struct TestServer {
    address: SocketAddr,
    closing: CancellationToken,
    registry: Registry,
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
    app.service(get_resource("/text", Access::Open, web::route().to(text)))
        .service(get_resource("/slow", Access::Open, web::route().to(slow)))
        .service(get_resource("/endless", Access::Open, web::route().to(endless)))
        .service(post_resource("/read_slowly", Access::Open, web::route().to(read_slowly)))
        .service(post_resource("/read", Access::Open, web::route().to(read)))
        .service(post_resource("/unread", Access::Open, web::route().to(text)));
}

fn start_with(heartbeats: Heartbeats, routes: fn(&mut web::ServiceConfig)) -> TestServer {
    start_listener(heartbeats, routes, None, 100)
}

fn start_listener(
    heartbeats: Heartbeats,
    routes: fn(&mut web::ServiceConfig),
    origin: Option<&str>,
    max_in_flight: usize,
) -> TestServer {
    start_api(heartbeats, Api { document: OpenApi::default(), routes }, origin, max_in_flight)
}

fn start_api(
    heartbeats: Heartbeats,
    Api { document, routes }: Api<fn(&mut web::ServiceConfig)>,
    origin: Option<&str>,
    max_in_flight: usize,
) -> TestServer {
    start_behind(start_gate::open(), heartbeats, Api { document, routes }, origin, max_in_flight)
}

fn start_behind(
    gate: CancellationToken,
    heartbeats: Heartbeats,
    Api { document, routes }: Api<fn(&mut web::ServiceConfig)>,
    origin: Option<&str>,
    max_in_flight: usize,
) -> TestServer {
    let socket = listen(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    let closing = CancellationToken::new();
    let registry = Registry::new(&[]).unwrap();
    let listener = Listener {
        socket,
        workers: 1,
        max_connections: 100,
        limits: LIMITS,
        drain_limit_s: 15,
        metrics: ConnectionMetrics::register(&registry, "test", 100),
        requests: RequestMetrics::register(&registry, &document),
        access_log: AccessLog::Off,
        cors: CorsOrigins::parse(origin).unwrap(),
        authenticator: None,
        in_flight: MaxInFlight::register(&registry, "test", max_in_flight),
        closing: closing.clone(),
        gate,
        heartbeats,
    };
    let server = listener.serve(routes).unwrap();
    let handle = server.handle();
    let running = tokio::spawn(server);
    TestServer { address, closing, registry, handle, _running: AbortOnDropHandle::new(running) }
}

fn start() -> TestServer {
    start_with(Heartbeats::default(), routes)
}

/// Sends the parts with a pause between them, and then, with `drip`, one byte after another. Returns everything
/// received until the server closed, and how long that took. An error means that the connection was reset.
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
            // Otherwise the client only keeps its side open.
            if drip {
                writer.write_all(b"x").await?;
            }
        }
    });
    let _sending = AbortOnDropHandle::new(sending);
    let mut response = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), reader.read_to_end(&mut response)).await;
    read.map_err(|_| io::ErrorKind::TimedOut)??;
    Ok((String::from_utf8_lossy(&response).into_owned(), start.elapsed()))
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
async fn an_unfinished_head_gets_a_408_and_ends_its_connection() {
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
        let (response, took) = outcome.unwrap_or_else(|error| panic!("{parts:?} {drip}: {error}"));
        let (_, refusal) =
            response.rsplit_once("HTTP/1.1 408 ").unwrap_or_else(|| panic!("{parts:?} {drip}: {response}"));
        assert!(refusal.contains("/problems/head-too-slow"), "{refusal}");
        assert!(took > LIMITS.head && took < SOON, "{parts:?} {drip}: {took:?}");
    }
}

#[tokio::test]
async fn an_unread_body_ends_its_connection_soon_after_the_response() {
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
        let (response, took) = outcome.unwrap_or_else(|error| panic!("{parts:?} {drip}: {error}"));
        assert_eq!(response.matches("HTTP/1.1 200 OK").count(), parts.len(), "{parts:?} {drip}: {response}");
        assert_eq!(response.matches("connection: close").count(), 1, "the client knows: {response}");
        assert!(took < SOON, "{parts:?} {drip}: {took:?}");
    }
}

#[tokio::test]
async fn a_connection_without_requests_ends_in_time_without_a_response() {
    let server = start();
    let (silent, used) = tokio::join!(talk(server.address, &[], false), talk(server.address, &[GET], false));
    let (response, took) = silent.unwrap();
    assert_eq!(response, "");
    assert!(took > LIMITS.head && took < SOON, "{took:?}");
    let (response, took) = used.unwrap();
    assert!(response.ends_with("text"), "{response}");
    assert!(took > LIMITS.keep_alive && took < 2 * LIMITS.keep_alive, "{took:?}");
}

#[tokio::test]
async fn a_busy_connection_outlasts_every_limit() {
    let server = start();
    let mut client = TcpStream::connect(server.address).await.unwrap();
    let start = Instant::now();
    while start.elapsed() < LIMITS.keep_alive + Duration::from_secs(1) {
        for (request, expected) in [(GET, "text"), (POST, "2 bytes")] {
            client.write_all(request.as_bytes()).await.unwrap();
            let mut response = [0; 1_024];
            let length = client.read(&mut response).await.unwrap();
            assert!(
                String::from_utf8_lossy(&response[..length]).ends_with(expected),
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
    let mut response = [0; 1_024];
    while start.elapsed() < LIMITS.keep_alive + Duration::from_secs(1) {
        assert!(client.read(&mut response).await.unwrap() > 0, "ended after {:?}", start.elapsed());
    }
}
