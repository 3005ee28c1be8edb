//! `orders_http_connections_cut_total` counts each reason for which the server ends a connection.

use super::super::head_end::MAX_HEAD;
use super::*;

const REASONS: [&str; 5] = ["large_head", "malformed", "slow_head", "unread_body", "idle"];

impl TestServer {
    async fn connections_cut(&self, reason: &str) -> u64 {
        let name = format!("orders_http_connections_cut_total{{listener=\"test\",reason=\"{reason}\"}} ");
        self.value(&name).await
    }

    async fn value(&self, name: &str) -> u64 {
        let metrics = self.metrics().await;
        let count = metrics.lines().find_map(|line| line.strip_prefix(name));
        count.unwrap_or_else(|| panic!("no {name} in\n{metrics}")).parse().unwrap()
    }
}

#[actix_web::test]
async fn each_reason_to_end_a_connection_is_counted_as_itself() {
    let too_large = format!("GET /text HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n", "x".repeat(MAX_HEAD));
    let too_many = format!("GET /text HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(96));
    let cases: [(&str, &[&str]); 8] = [
        ("large_head", &[&too_large]),
        ("large_head", &[GET, &too_large]),
        ("large_head", &[&too_many]),
        ("malformed", &["nonsense\r\n\r\n"]),
        ("malformed", &[GET, "nonsense\r\n\r\n"]),
        ("slow_head", &[HALF]),
        ("unread_body", &[CHUNKED_POST]),
        ("idle", &[]),
    ];
    for (reason, parts) in cases {
        let server = start();
        talk(server.address, parts, false).await.unwrap();
        for other in REASONS {
            let expected = u64::from(other == reason);
            assert_eq!(server.connections_cut(other).await, expected, "{reason}: {other}");
        }
    }
}

#[actix_web::test]
async fn a_connection_that_the_client_ends_is_not_counted_as_cut() {
    let server = start();
    let close = "GET /text HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    talk(server.address, &[close], false).await.unwrap();
    for reason in REASONS {
        assert_eq!(server.connections_cut(reason).await, 0, "{reason}");
    }
}

#[actix_web::test]
async fn the_most_connections_are_shown_beside_those_that_are_open() {
    let server = start();
    assert_eq!(server.value("orders_http_connections_max{listener=\"test\"} ").await, 100);
    assert_eq!(server.value("orders_http_connections_open{listener=\"test\"} ").await, 0);
}
