//! After SIGTERM a process still serves for a while, so that load balancers notice.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use reqwest::StatusCode;
use serde_json::json;
use testkit::fault_proxy::Wire;
use testkit::services::{Service, ServiceBinaries, ServiceKind};
use testkit::test_database::TestDatabase;
use testkit::wait;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

#[tokio::test]
async fn readiness_goes_off_at_once_while_requests_are_still_served_and_then_the_process_ends() -> Result<()>
{
    let database = TestDatabase::create().await?;
    let logs = tempfile::tempdir()?;
    for kind in ServiceKind::ALL {
        let program = ServiceBinaries::built().await?.program(kind);
        let delay = [("SHUTDOWN_DELAY_MS", "4000")];
        let mut service =
            Service::start_with(&delay, kind, &program, &database.url(kind.role()), 0, logs.path())?;
        service.wait_until_ready().await?;
        let document = format!("{}/openapi.json", service.url());
        let kept = reqwest::Client::new();
        let before = kept.get(&document).send().await?;
        assert_eq!((before.status(), before.headers().get("connection")), (StatusCode::OK, None));
        before.bytes().await?;
        let mut stream = match kind {
            ServiceKind::ReadApi => {
                Some(reqwest::get(format!("{}/customers/alice/orders/stream", service.url())).await?)
            }
            _ => None,
        };

        let start = Instant::now();
        service.terminate();
        wait::until("readiness to go off", Duration::from_secs(2), || async {
            let status = reqwest::get(format!("{}/readyz", service.admin_url()))
                .await
                .map(|response| response.status());
            if matches!(status, Ok(StatusCode::SERVICE_UNAVAILABLE)) { Ok(()) } else { Err(status) }
        })
        .await?;
        for client in [&kept, &reqwest::Client::new()] {
            let response = client.get(&document).send().await?;
            let close = response.headers().get("connection").context("the connection stays open")?;
            assert_eq!((response.status(), close), (StatusCode::OK, &"close".parse()?), "{}", kind.name());
        }
        let alive = reqwest::get(format!("{}/livez", service.admin_url())).await?.status();
        assert_eq!(alive, StatusCode::OK);
        assert!(service.is_running() && start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
        if let Some(stream) = &mut stream {
            // It ends with status 0, and not before the drain.
            while stream.chunk().await?.is_some() {}
            assert!(start.elapsed() >= Duration::from_secs(4), "{:?}", start.elapsed());
        }
        assert!(service.stop()?.success());
        assert!(start.elapsed() < Duration::from_secs(25), "{:?}", start.elapsed());
    }
    Ok(())
}

/// Sends requests and reads no response, until the process can send no more.
async fn stall_a_response(url: &str) -> Result<TcpStream> {
    let mut client = TcpStream::connect(url.trim_start_matches("http://")).await?;
    let request = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(100);
    let full = Duration::from_secs(2);
    while let Ok(sent) = tokio::time::timeout(full, client.write_all(&request)).await {
        sent?;
    }
    Ok(client)
}

/// Checks that the process ends within its limit after SIGTERM, while requests in flight extend the drain to its limit.
async fn stop_with_a_full_drain(service: Service) -> Result<()> {
    let (start, name) = (Instant::now(), service.kind().name());
    let status = tokio::task::spawn_blocking(move || service.stop()).await??;
    let took = start.elapsed();
    assert!(status.success(), "{name}: {status}");
    assert!(took > Duration::from_secs(15), "{name}: nothing held the drain for its 20 s: {took:?}");
    assert!(took < Duration::from_secs(25), "{name}: {took:?}");
    Ok(())
}

#[tokio::test]
async fn a_drain_with_slow_clients_ends_within_its_limit() -> Result<()> {
    let database = TestDatabase::create().await?;
    let logs = tempfile::tempdir()?;
    let vars = [("SHUTDOWN_DELAY_MS", "0"), ("WRITE_DEADLINE_MS", "60000")];
    let (wire, write_url) = database.behind_a_proxy(ServiceKind::WriteApi.role()).await?;
    let start = async |kind: ServiceKind| {
        let program = ServiceBinaries::built().await?.program(kind);
        let url = if kind == ServiceKind::WriteApi { write_url.clone() } else { database.url(kind.role()) };
        let mut service = Service::start_with(&vars, kind, &program, &url, 0, logs.path())?;
        service.wait_until_ready().await?;
        anyhow::Ok(service)
    };
    let write = start(ServiceKind::WriteApi).await?;
    let read = start(ServiceKind::ReadApi).await?;

    let slow_readers = [stall_a_response(write.url()).await?, stall_a_response(read.url()).await?];
    let stream = reqwest::get(format!("{}/customers/alice/orders/stream", read.url())).await?;
    // An order that cannot be stored; its request lasts longer than the drain.
    wire.set(Wire::RequestsLost);
    let order = json!({"customer_id": "alice", "items": [{"sku": "TEA", "quantity": 1, "price_cents": 450}]});
    let placing = reqwest::Client::new().post(format!("{}/orders", write.url())).json(&order).send();
    let placing = AbortOnDropHandle::new(tokio::spawn(placing));
    wait::until("the order to be in flight", Duration::from_secs(30), || {
        let lost = wire.lost();
        std::future::ready(if lost > 0 { Ok(()) } else { Err(lost) })
    })
    .await?;
    tokio::try_join!(stop_with_a_full_drain(write), stop_with_a_full_drain(read))?;
    drop((slow_readers, stream, placing));
    Ok(())
}
