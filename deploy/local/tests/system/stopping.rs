//! After SIGTERM a process still serves for a while, so that load balancers can take notice.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use local::services::{Service, ServiceKind};
use local::test_database::TestDatabase;
use local::wait;
use reqwest::StatusCode;

use crate::support::binaries;

#[tokio::test]
async fn readiness_goes_off_at_once_while_requests_are_still_served_and_then_the_process_ends() -> Result<()>
{
    let database = TestDatabase::create().await?;
    let logs = tempfile::tempdir()?;
    for kind in [ServiceKind::WriteApi, ServiceKind::ReadApi] {
        let program = binaries().await?.program(kind);
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
            let status =
                reqwest::get(format!("{}/readyz", service.admin_url())).await.map(|answer| answer.status());
            if matches!(status, Ok(StatusCode::SERVICE_UNAVAILABLE)) { Ok(()) } else { Err(status) }
        })
        .await?;
        for client in [&kept, &reqwest::Client::new()] {
            let answer = client.get(&document).send().await?;
            let close = answer.headers().get("connection").context("the connection stays open")?;
            assert_eq!((answer.status(), close), (StatusCode::OK, &"close".parse()?), "{}", kind.name());
        }
        let alive = reqwest::get(format!("{}/livez", service.admin_url())).await?.status();
        assert_eq!(alive, StatusCode::OK);
        assert!(service.is_running() && start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
        if let Some(stream) = &mut stream {
            // It ends in good order, and not before the drain.
            while stream.chunk().await?.is_some() {}
            assert!(start.elapsed() >= Duration::from_secs(4), "{:?}", start.elapsed());
        }
        assert!(service.stop()?.success());
        assert!(start.elapsed() < Duration::from_secs(25), "{:?}", start.elapsed());
    }
    Ok(())
}
