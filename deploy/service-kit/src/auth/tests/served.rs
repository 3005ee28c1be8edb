//! Over real sockets, with the listener of the services.

use std::net::SocketAddr;

use actix_web::{HttpRequest, HttpResponse, web};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use utoipa::openapi::OpenApi;

use super::super::{Access, Authenticator, Grant, Right};
use super::*;
use crate::http::{Admin, AdminConfig, Api, HttpConfig, Served, bind};
use crate::problem::Problem;
use crate::resource::{get_resource, post_resource};
use crate::shutdown::Stop;

/// What the server may have in flight. Some tests send two requests at once.
const MAX_IN_FLIGHT: usize = 2;

/// The origin of pages that may use the server.
pub(super) const SHOP: &str = "https://shop.example";

/// Requests that need not wait any longer.
static RELEASED: Semaphore = Semaphore::const_new(0);

/// Runs `test` with a server that has a resource for the scope `read`, one for `write`, one at which requests wait, and
/// one for all.
pub(super) async fn with_server<F: Future<Output = ()>>(
    process: &Process,
    test: impl FnOnce(SocketAddr) -> F,
) {
    let vars = |vars: &[(&str, &str)]| -> Vars {
        vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let in_flight = MAX_IN_FLIGHT.to_string();
    let http = [("PORT", "0"), ("SHUTDOWN_DELAY_MS", "0"), ("HTTP_WORKERS", "1"), ("CORS_ORIGINS", SHOP)];
    let http = vars(&[&http[..], &[("HTTP_MAX_IN_FLIGHT", &in_flight)]].concat());
    let http = HttpConfig::from_vars(&http).unwrap();
    let admin = AdminConfig::from_vars(&vars(&[("ADMIN_PORT", "0")])).unwrap();
    let admin = Admin::start(&admin, 0, &process.health, &process.registry, |_| {}).unwrap();
    let begun = CancellationToken::new();
    let authenticator = Authenticator::Jwt(Arc::clone(&process.jwt));
    let routes = |app: &mut web::ServiceConfig| {
        let handler = |grant: Grant, body: web::Bytes| async move {
            HttpResponse::Ok().body(format!("{} bytes by {}", body.len(), grant.subject().unwrap()))
        };
        let read = Access::Needs(&[Right::Any("read")]);
        let write = Access::Needs(&[Right::Any("write"), Right::Own("write:own")]);
        let wait = |request: HttpRequest, grant: Grant| async move {
            let _held = grant.wait(&request)?;
            // Never closed.
            RELEASED.acquire().await.unwrap().forget();
            Ok::<_, Problem>(HttpResponse::Ok().finish())
        };
        let open = || async { HttpResponse::Ok().finish() };
        app.service(post_resource("/read", read, web::route().to(handler))).service(post_resource(
            "/write",
            write,
            web::route().to(handler),
        ));
        app.service(get_resource("/wait", read, web::route().to(wait))).service(get_resource(
            "/open",
            Access::Open,
            web::route().to(open),
        ));
    };
    let api = Api { document: OpenApi::default(), routes };
    let connections = Served::plan(&http, 0).unwrap();
    let mut server =
        bind(&http, 0, connections, admin, Stop::new(begun.clone()), authenticator, api).unwrap();
    let address = server.address();
    let stopped = async {
        test(address).await;
        begun.cancel();
    };
    let (ended, ()) = tokio::join!(server.run(), stopped);
    ended.unwrap();
}

/// Sends a head that announces a body, and no body. Returns the response.
pub(super) async fn announce_a_body(address: SocketAddr, path: &str, headers: &[String]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let headers: String = headers.iter().flat_map(|header| [header, "\r\n"]).collect();
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    let read = async {
        loop {
            let text = String::from_utf8(response.clone()).unwrap();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                if body.len() == length.parse::<usize>().unwrap() {
                    return text;
                }
            }
            response.push(stream.read_u8().await.unwrap());
        }
    };
    let response = tokio::time::timeout(Duration::from_secs(10), read).await;
    response.expect("a response without a byte of the body")
}

pub(super) fn authorization(token: &str) -> String {
    format!("authorization: Bearer {token}")
}

#[actix_web::test]
async fn a_request_is_refused_before_a_byte_of_its_body_is_read() {
    let key = TestKey::ed25519("key");
    let process = Process::ready(KeyFile::new(&document(&[&key])).source()).await;
    let (valid, expired) = (token_of(&key, "alice", START + 60), token_of(&key, "alice", START - 60));
    let mut bodies = Vec::new();
    with_server(&process, async |address| {
        for headers in [vec![], vec![authorization("nonsense")], vec![authorization(&expired)]] {
            let response = announce_a_body(address, "/read", &headers).await;
            assert!(response.starts_with("HTTP/1.1 401 "), "{response}");
            assert!(response.contains("www-authenticate: Bearer"), "{response}");
            // Without the id of the request.
            let (head, body) = response.split_once("\r\n\r\n").unwrap();
            let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
            bodies.push(body.replace(id, "id"));
        }
        let twice = [authorization(&valid), authorization(&valid)];
        let response = announce_a_body(address, "/read", &twice).await;
        assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
        let response = announce_a_body(address, "/write", &[authorization(&valid)]).await;
        assert!(response.starts_with("HTTP/1.1 403 "), "{response}");
        let challenge = r#"www-authenticate: Bearer error="insufficient_scope", scope="write write:own""#;
        assert!(response.contains(challenge), "{response}");
    })
    .await;
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
    assert_eq!(process.metric(r#"orders_auth_refused_total{reason="insufficient_scope"}"#), 1);
}

#[actix_web::test]
async fn a_valid_token_reaches_the_handler_with_its_body() {
    let key = TestKey::ed25519("key");
    let process = Process::ready(KeyFile::new(&document(&[&key])).source()).await;
    let token = token_of(&key, "alice", START + 60);
    with_server(&process, async |address| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = "POST /read HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n";
        let request = format!("{head}{}\r\n\r\nabc", authorization(&token));
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        assert!(response.ends_with("3 bytes by alice"), "{response}");
    })
    .await;
}

#[actix_web::test]
async fn without_keys_every_resource_that_is_not_open_is_a_503() {
    let process = Process::start(KeyFile::new("").source());
    with_server(&process, async |address| {
        for headers in [vec![], vec![authorization("nonsense")]] {
            let response = announce_a_body(address, "/read", &headers).await;
            assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
            assert!(response.contains("/problems/unavailable"), "{response}");
        }
    })
    .await;
}

/// Sends a request that has no body, and does not wait for the response.
async fn send(address: SocketAddr, path: &str, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

pub(super) async fn response(address: SocketAddr, path: &str, headers: &str) -> String {
    let mut response = String::new();
    send(address, path, headers).await.read_to_string(&mut response).await.unwrap();
    response
}

pub(super) async fn status(address: SocketAddr, path: &str, headers: &str) -> String {
    response(address, path, headers).await.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[actix_web::test]
async fn requests_that_wait_count_in_their_share_only_and_give_it_back() {
    let key = TestKey::ed25519("key");
    let waits = MAX_IN_FLIGHT + 2;
    let vars = vec![("RATE_LIMIT_SERVICE_WAITS".to_owned(), waits.to_string())];
    let process = Process::ready_with(
        KeyFile::new(&document(&[&key])).source(),
        &SharesConfig::from_vars(&vars).unwrap(),
    )
    .await;
    let [alice, bob] =
        ["alice", "bob"].map(|name| format!("{}\r\n", authorization(&token_of(&key, name, START + 60))));
    with_server(&process, async |address| {
        let mut waiting = Vec::new();
        for _ in 0..waits {
            waiting.push(send(address, "/wait", &alice).await);
        }
        // One that waits gets no response.
        let over = async || {
            let refused = status(address, "/wait", &alice);
            tokio::time::timeout(Duration::from_secs(1), refused).await.ok()
        };
        let start = std::time::Instant::now();
        while over().await.as_deref() != Some("429") {
            assert!(start.elapsed() < Duration::from_secs(30), "never beyond the share");
        }
        assert_eq!(status(address, "/open", "").await, "200", "those that wait are not in flight");
        let of_bob = tokio::time::timeout(Duration::from_millis(500), status(address, "/wait", &bob)).await;
        assert!(of_bob.is_err(), "another subject waits: {of_bob:?}");
        RELEASED.add_permits(1);
        while over().await.is_some() {
            assert!(start.elapsed() < Duration::from_secs(30), "never given back");
        }
    })
    .await;
}
