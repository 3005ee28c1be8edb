//! Large bodies that arrive slowly hold memory that all share: a customer may send few of them at once.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::join_all;
use testkit::tokens::TokenIssuer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::support::Api;

/// More than a small body, of which there may be any number.
const SENT: usize = 40_000;
const LIMIT: Duration = Duration::from_secs(30);

/// Sends a part of a large body, and returns the status of the response. It comes after the body's time, or at once.
async fn send_a_part(address: SocketAddr, path: &str, token: &str, part: usize) -> Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: 200000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&vec![b' '; part]).await?;
    let mut response = [0; 12];
    tokio::time::timeout(LIMIT, stream.read_exact(&mut response)).await.context("no response")??;
    Ok(std::str::from_utf8(&response)?.rsplit(' ').next().context("no status")?.parse()?)
}

async fn statuses(count: usize, send: impl AsyncFn() -> Result<u16>) -> Result<Vec<u16>> {
    let mut statuses: Vec<u16> =
        join_all((0..count).map(|_| send())).await.into_iter().collect::<Result<_>>()?;
    statuses.sort_unstable();
    Ok(statuses)
}

#[tokio::test]
async fn a_customer_sends_four_large_bodies_at_once_and_others_theirs() -> Result<()> {
    let keys = tempfile::tempdir()?;
    let issuer = TokenIssuer::new(keys.path())?;
    let variables = issuer.variables();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let api = Api::start_with(&variables).await?;
    let address: SocketAddr = api.url.trim_start_matches("http://").parse()?;
    let customer = issuer.token("ada", &["orders:cancel"], Some("ada"))?;
    let other = issuer.token("bob", &["orders:cancel"], Some("bob"))?;
    let service = issuer.token("shop", &["orders:place"], None)?;
    let cancel = format!("/orders/{}/cancel", Uuid::now_v7());
    let (of_customer, of_other, of_service, small) = tokio::join!(
        statuses(7, async || send_a_part(address, &cancel, &customer, SENT).await),
        statuses(2, async || send_a_part(address, &cancel, &other, SENT).await),
        statuses(9, async || send_a_part(address, "/orders", &service, SENT).await),
        statuses(9, async || send_a_part(address, &cancel, &other, 1_000).await),
    );
    assert_eq!(of_customer?, [408, 408, 408, 408, 429, 429, 429]);
    assert_eq!(of_other?, [408; 2]);
    assert_eq!(of_service?, [408; 9]);
    assert_eq!(small?, [408; 9], "small bodies have no such limit");
    // All have ended.
    let again = statuses(5, async || send_a_part(address, &cancel, &customer, SENT).await).await?;
    assert_eq!(again, [408, 408, 408, 408, 429]);
    Ok(())
}
