//! Requests beyond those in flight are refused at once.

use actix_web::HttpRequest;
use actix_web::http::header::RETRY_AFTER;
use tokio::sync::Semaphore;

use super::super::in_flight::begin_wait;
use super::*;

const MAX_IN_FLIGHT: usize = 4;

/// Requests that may end.
static RELEASED: Semaphore = Semaphore::const_new(0);

impl TestServer {
    pub(super) async fn metrics(&self) -> String {
        let metrics = actix_web::body::to_bytes(self.registry.response().into_body()).await.unwrap();
        String::from_utf8(metrics.to_vec()).unwrap()
    }

    pub(super) async fn until_one_is_in_flight(&self) {
        let start = Instant::now();
        while !self.metrics().await.contains("orders_http_in_flight_requests{listener=\"test\"} 1\n") {
            assert!(start.elapsed() < Duration::from_secs(30), "{}", self.metrics().await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn routes(app: &mut web::ServiceConfig) {
    let hang = || async {
        // Never closed.
        RELEASED.acquire().await.unwrap().forget();
        HttpResponse::Ok().body("released")
    };
    let wait = |request: HttpRequest| {
        begin_wait(&request);
        std::future::pending::<HttpResponse>()
    };
    app.service(get_resource("/hang", Access::Open, web::route().to(hang)))
        .service(get_resource("/wait", Access::Open, web::route().to(wait)))
        .configure(super::routes);
}

/// Sends a request for the path and does not wait for the response.
async fn begin(server: &TestServer, path: &str) -> TcpStream {
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    client
}

/// The response to a request that has one at once.
async fn response(server: &TestServer, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    talk(server.address, &[&request], false).await.unwrap().0
}

async fn until_text_is(server: &TestServer, status: &str) -> String {
    let start = Instant::now();
    loop {
        let response = response(server, "/text").await;
        if response.starts_with(&format!("HTTP/1.1 {status} ")) {
            return response;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "never {status}: {response}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn requests_beyond_the_maximum_get_503_until_others_end_and_streams_and_waits_do_not_count() {
    let server = start_listener(Heartbeats::default(), routes, None, MAX_IN_FLIGHT);
    let mut others = Vec::new();
    for path in ["/wait", "/endless"] {
        for _ in 0..2 * MAX_IN_FLIGHT {
            others.push(begin(&server, path).await);
        }
    }
    for stream in &mut others[2 * MAX_IN_FLIGHT..] {
        // It has begun.
        assert!(stream.read_buf(&mut Vec::with_capacity(100)).await.unwrap() > 0);
    }
    until_text_is(&server, "200").await;
    let mut hanging = Vec::new();
    for _ in 0..MAX_IN_FLIGHT {
        hanging.push(begin(&server, "/hang").await);
    }
    let refused = until_text_is(&server, "503").await;
    assert!(refused.contains(&format!("{RETRY_AFTER}: 1")), "{refused}");
    assert!(refused.contains("/problems/unavailable") && refused.contains("x-request-id: "), "{refused}");
    RELEASED.add_permits(1);
    until_text_is(&server, "200").await;
    let metrics = server.metrics().await;
    let of_resource = r#"http_route="/text",http_response_status_code="503"} "#;
    assert!(metrics.contains(of_resource), "refused requests belong to their resource: {metrics}");
    let refused = "orders_http_in_flight_refused_total{listener=\"test\"} ";
    let count = metrics.lines().find_map(|line| line.strip_prefix(refused)).unwrap();
    assert_ne!(count, "0");
}
