//! `http_server_request_duration_seconds` counts each request once, and clients cannot add series.

use actix_web::body::to_bytes;

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
        series("GET", "", 400, 1),
        series("GET", "", 404, 1),
        series("GET", "/text", 200, 2),
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
