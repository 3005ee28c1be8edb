//! Large bodies that arrive slowly hold memory that all share: a customer may send few of them at once, and no caller
//! holds more than half of it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::join_all;
use reqwest::StatusCode;
use tempfile::TempDir;
use testkit::tokens::TokenIssuer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::{Api, large_order};

/// More than a small body, of which there may be any number.
const SENT: usize = 40_000;
const LIMIT: Duration = Duration::from_secs(30);

/// Sends this part of a body, and returns the head of the response. It comes after the body's time, or at once.
async fn head_after(
    address: SocketAddr,
    path: &str,
    token: &str,
    [part, length]: [usize; 2],
) -> Result<String> {
    let (mut reader, mut writer) = TcpStream::connect(address).await?.into_split();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n"
    );
    let sending = async {
        writer.write_all(head.as_bytes()).await?;
        writer.write_all(&vec![b' '; part]).await?;
        std::future::pending::<Result<String>>().await
    };
    let receiving = async {
        let mut response = Vec::new();
        while !response.windows(4).any(|end| end == b"\r\n\r\n") {
            response.push(reader.read_u8().await?);
        }
        Ok(String::from_utf8(response)?)
    };
    let response = async {
        // A refused body may no longer be read.
        tokio::pin!(receiving);
        tokio::select! {
            _failed = sending => receiving.await,
            response = &mut receiving => response,
        }
    };
    tokio::time::timeout(LIMIT, response).await.context("no response")?
}

fn status(head: &str) -> Result<u16> {
    Ok(head.split(' ').nth(1).context("no status")?.parse()?)
}

/// Sends a part of a large body, and returns the status of the response.
async fn send_a_part(address: SocketAddr, path: &str, token: &str, part: usize) -> Result<u16> {
    status(&head_after(address, path, token, [part, 200_000]).await?)
}

async fn statuses(count: usize, send: impl AsyncFn() -> Result<u16>) -> Result<Vec<u16>> {
    let mut statuses: Vec<u16> =
        join_all((0..count).map(|_| send())).await.into_iter().collect::<Result<_>>()?;
    statuses.sort_unstable();
    Ok(statuses)
}

struct Scene {
    api: Api,
    issuer: TokenIssuer,
    address: SocketAddr,
    _keys: TempDir,
}

impl Scene {
    async fn start(vars: &[(&str, &str)]) -> Result<Self> {
        let keys = tempfile::tempdir()?;
        let issuer = TokenIssuer::new(keys.path())?;
        let variables = issuer.variables();
        let variables = variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let variables: Vec<_> = variables.chain(vars.iter().copied()).collect();
        let api = Api::start_with(&variables).await?;
        api.until_ready_is(StatusCode::OK).await?;
        let address = api.url.trim_start_matches("http://").parse()?;
        Ok(Self { api, issuer, address, _keys: keys })
    }
}

#[tokio::test]
async fn a_customer_sends_four_large_bodies_at_once_and_others_theirs() -> Result<()> {
    let scene = Scene::start(&[]).await?;
    let (issuer, address) = (&scene.issuer, scene.address);
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

/// Of as many bodies of one service as `held` and `refused`, that many arrive slowly and the others are refused for
/// `reason`. Meanwhile an order of another service is stored.
async fn check_the_share_of_slow_bodies(
    vars: &[(&str, &str)],
    sizes: [usize; 2],
    [held, refused]: [usize; 2],
    reason: &str,
) -> Result<()> {
    let scene = Scene::start(vars).await?;
    let Scene { api, issuer, address, .. } = &scene;
    let address = *address;
    let slow = issuer.token("slow", &["orders:place"], None)?;
    let other = issuer.token("other", &["orders:place"], None)?;
    let mut bodies = JoinSet::new();
    for _ in 0..held + refused {
        let slow = slow.clone();
        bodies.spawn(async move { head_after(address, "/orders", &slow, sizes).await });
    }
    for _ in 0..refused {
        let refused = bodies.join_next().await.context("no response")???;
        assert_eq!(status(&refused)?, 429, "{refused}");
        assert!(refused.contains("\r\nretry-after: "), "{refused}");
    }
    // The others still arrive.
    let order = api.client.post(format!("{}/orders", api.url)).bearer_auth(&other).json(&large_order());
    assert_eq!(order.send().await?.status(), StatusCode::CREATED);
    while let Some(held) = bodies.join_next().await {
        let held = held??;
        assert_eq!(status(&held)?, 408, "{held}");
    }
    let metrics = api.probe("/metrics").await?.text().await?;
    let counted = format!("orders_rate_limited_total{{reason=\"{reason}\"}} {refused}\n");
    assert!(metrics.contains(&counted), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn slow_small_bodies_of_one_service_leave_half_of_the_requests_in_flight_for_others() -> Result<()> {
    let vars = [("HTTP_WORKERS", "1"), ("HTTP_MAX_IN_FLIGHT", "16"), ("WRITE_QUEUE", "16")];
    check_the_share_of_slow_bodies(&vars, [7_900, 8_000], [8, 6], "arrivals").await
}

#[tokio::test]
async fn one_service_holds_half_of_the_memory_for_large_bodies_and_anothers_large_order_is_stored()
-> Result<()> {
    const BODY: usize = 1024 * 1024;
    // Of 16 MiB, large bodies may hold 12.25. Each of these takes 2 MiB: 3 are within a half, 6 would take all.
    let vars = [("WRITE_BUDGET_BYTES", "16777216")];
    check_the_share_of_slow_bodies(&vars, [BODY - 1, BODY], [3, 9], "bodies").await
}
