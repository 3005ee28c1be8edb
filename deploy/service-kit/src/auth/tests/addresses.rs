//! The share of an address.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::served::{SHOP, authorization, response, status, with_server};
use super::*;

/// The response to a page that asks whether it may send a token.
async fn preflight(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "OPTIONS /read HTTP/1.1\r\nhost: x\r\nconnection: close\r\norigin: {SHOP}\r\n\
         access-control-request-method: POST\r\naccess-control-request-headers: authorization\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

#[actix_web::test]
async fn what_needs_no_token_counts_for_the_address_that_it_comes_from() {
    let key = TestKey::ed25519("key");
    let vars = [("RATE_LIMIT_PER_S", "1"), ("RATE_LIMIT_BURST", "5")];
    let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let process = Process::ready_with(
        KeyFile::new(&document(&[&key])).source(),
        &SharesConfig::from_vars(&vars).unwrap(),
    )
    .await;
    with_server(&process, async |address| {
        for path in ["/open", "/no-such-resource"] {
            let start = std::time::Instant::now();
            while status(address, path, "").await != "429" {
                assert!(start.elapsed() < Duration::from_secs(30), "{path} has no share");
            }
        }
        let start = std::time::Instant::now();
        let refused = loop {
            let response = preflight(address).await;
            if response.starts_with("HTTP/1.1 429 ") {
                break response;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "preflight requests have no share");
        };
        let (head, problem) = refused.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("\r\nretry-after: "), "{head}");
        assert!(head.contains("\r\ncontent-type: application/problem+json"), "{head}");
        let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
        let problem: Value = serde_json::from_str(problem).unwrap();
        assert_eq!(problem["type"], "/problems/too-many-requests");
        assert_eq!(problem["instance"], format!("/requests/{id}"));
        let refused = response(address, "/wait", &format!("origin: {SHOP}\r\n")).await;
        assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
        assert!(refused.contains(&format!("access-control-allow-origin: {SHOP}")), "{refused}");
        let token = format!("{}\r\n", authorization(&token_of(&key, "alice", START + 60)));
        assert_eq!(status(address, "/read", &token).await, "405", "a valid token has a share of its own");
    })
    .await;
}
