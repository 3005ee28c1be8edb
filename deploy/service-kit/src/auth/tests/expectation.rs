//! `Expect: 100-continue`.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::served::{announce_a_body, authorization, with_server};
use super::*;

#[actix_web::test]
async fn a_client_that_will_be_refused_is_not_asked_for_its_body() {
    const EXPECT: &str = "expect: 100-continue";
    let key = TestKey::ed25519("key");
    let vars = [("RATE_LIMIT_SERVICE_PER_S", "1"), ("RATE_LIMIT_SERVICE_BURST", "2")];
    let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let keys = KeyFile::new(&document(&[&key]));
    let process = Process::ready_with(keys.source(), &SharesConfig::from_vars(&vars).unwrap()).await;
    let [valid, expired] = [60, -60].map(|seconds| authorization(&token_of(&key, "alice", START + seconds)));
    with_server(&process, async |address| {
        let announce = async |path: &str, headers: &[&str]| {
            let headers: Vec<_> = [headers, &[EXPECT]].concat().into_iter().map(str::to_owned).collect();
            announce_a_body(address, path, &headers).await
        };
        for headers in [&[][..], &["authorization: Bearer nonsense"], &[&expired]] {
            let response = announce("/read", headers).await;
            assert!(response.starts_with("HTTP/1.1 401 "), "{response}");
            assert!(response.contains("www-authenticate: Bearer"), "{response}");
            assert!(response.contains("\r\nx-request-id: "), "{response}");
        }
        assert!(announce("/other", &[]).await.starts_with("HTTP/1.1 404 "), "its route responds");

        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = "POST /read HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n";
        stream.write_all(format!("{head}{EXPECT}\r\n{valid}\r\n\r\n").as_bytes()).await.unwrap();
        let mut asked = [0; 25];
        stream.read_exact(&mut asked).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&asked), "HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"abc").await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        assert!(
            response.starts_with("HTTP/1.1 200 ") && response.ends_with("3 bytes by alice"),
            "{response}"
        );

        // The share is used up.
        let first_line = async || {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(format!("{head}{EXPECT}\r\n{valid}\r\n\r\n").as_bytes()).await.unwrap();
            let mut line = [0; 12];
            stream.read_exact(&mut line).await.unwrap();
            String::from_utf8_lossy(&line).into_owned()
        };
        let start = std::time::Instant::now();
        while first_line().await != "HTTP/1.1 429" {
            assert!(start.elapsed() < Duration::from_secs(30), "the share is never used up");
        }
    })
    .await;
}
