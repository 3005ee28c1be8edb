//! `http_server_request_duration_seconds` counts each request once, and clients cannot add series.

use actix_web::body::to_bytes;

use utoipa::openapi::path::{HttpMethod, OperationBuilder, PathItem, PathsBuilder};
use utoipa::openapi::{OpenApiBuilder, Response};

use super::*;
use crate::http::request_metrics::DURATION;

impl TestServer {
    /// The labels and the count of each series of the histogram.
    async fn durations(&self) -> Vec<String> {
        let metrics = to_bytes(self.registry.response().into_body()).await.unwrap();
        let metrics = String::from_utf8(metrics.to_vec()).unwrap();
        let name = format!("{DURATION}_count");
        let mut series: Vec<_> =
            metrics.lines().filter_map(|line| line.strip_prefix(&name)).map(str::to_owned).collect();
        series.sort_unstable();
        series
    }
}

fn series(method: &str, route: &str, status: u16, count: u32) -> String {
    format!(
        r#"{{http_request_method="{method}",http_route="{route}",http_response_status_code="{status}"}} {count}"#
    )
}

#[actix_web::test]
async fn each_request_is_measured_with_its_method_pattern_and_status() {
    let server = start();
    let websocket = "GET /text HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
    let missing = "GET /missing HTTP/1.1\r\nhost: x\r\n\r\n";
    let delete = "DELETE /text HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    talk(server.address, &[GET, GET, POST, missing, delete], false).await.unwrap();
    talk(server.address, &[websocket], false).await.unwrap();
    let expected = [
        series("DELETE", "/text", 405, 1),
        series("GET", "", 404, 1),
        series("GET", "/text", 200, 2),
        series("GET", "/text", 400, 1),
        series("POST", "/read", 200, 1),
    ];
    assert_eq!(server.durations().await, expected);
}

#[actix_web::test]
async fn no_path_and_no_method_of_a_client_adds_a_series() {
    let server = start();
    let requests =
        (0..10_000).map(|number| format!("M{number} /p{number}?q={number} HTTP/1.1\r\nhost: x\r\n\r\n"));
    let mut requests = requests.collect::<Vec<_>>().concat();
    requests.push_str("GET /text HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    talk(server.address, &[&requests], false).await.unwrap();
    assert_eq!(server.durations().await, [series("GET", "/text", 200, 1), series("_OTHER", "", 404, 10_000)]);
}

#[actix_web::test]
async fn each_operation_has_its_series_before_its_first_request() {
    let get = OperationBuilder::new().response("200", Response::new("")).response("503", Response::new(""));
    let paths = PathsBuilder::new().path("/text", PathItem::new(HttpMethod::Get, get));
    let document = OpenApiBuilder::new().paths(paths).build();
    let server = start_api(Heartbeats::default(), Api { document, routes }, None, 100);
    let statuses = [200, 499, 503];
    assert_eq!(server.durations().await, statuses.map(|status| series("GET", "/text", status, 0)));
}

/// Waits until the only series is this one.
async fn until_measured(server: &TestServer, expected: &str) {
    let start = Instant::now();
    loop {
        let durations = server.durations().await;
        if durations == [expected] {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{durations:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_request_whose_client_goes_away_is_measured() {
    fn routes(app: &mut web::ServiceConfig) {
        let hang = || std::future::pending::<HttpResponse>();
        app.service(get_resource("/hang", Access::Open, web::route().to(hang)));
    }
    let server = start_with(Heartbeats::default(), routes);
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(b"GET /hang HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    server.until_one_is_in_flight().await;
    client.set_zero_linger().unwrap();
    drop(client);
    until_measured(&server, &series("GET", "/hang", 499, 1)).await;
}

#[tokio::test]
async fn a_request_whose_handler_panics_is_measured_as_our_fault() {
    async fn panic() -> HttpResponse {
        panic!("a bug")
    }
    fn routes(app: &mut web::ServiceConfig) {
        app.service(get_resource("/panic", Access::Open, web::route().to(panic)));
    }
    let server = start_with(Heartbeats::default(), routes);
    let _reset = talk(server.address, &["GET /panic HTTP/1.1\r\nhost: x\r\n\r\n"], false).await;
    until_measured(&server, &series("GET", "/panic", 500, 1)).await;
}
