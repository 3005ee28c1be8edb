//! A collector that is dead, hangs or refuses: requests do not notice, and what is lost is counted.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use testkit::otlp::{Collector, Mode};
use testkit::wait;

use super::scene::{LIMIT, Scene};

const DROPPED: &str = "orders_trace_spans_dropped_total";

/// A queue that is soon full.
const SMALL: [(&str, &str); 2] = [("OTEL_BSP_MAX_QUEUE_SIZE", "16"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")];

/// Far less than the collector's limits, and far more than a request takes.
const SLOW: Duration = Duration::from_secs(1);

/// Five seconds for the last spans, and a few for all the rest.
const LONGEST_STOP: Duration = Duration::from_secs(15);

async fn check(collector: Collector, variables: &[(&str, &str)]) -> Result<()> {
    let variables: Vec<_> = SMALL.iter().chain(variables).copied().collect();
    let scene = Scene::with_collector(collector, &variables).await?;
    let mut durations = Vec::new();
    for number in 1..=50 {
        let began = Instant::now();
        tokio::time::timeout(LIMIT, scene.place("ada", number)).await??;
        durations.push(began.elapsed());
    }
    // Most, because a machine may be busy for a moment. A request that waits for the collector takes longer each time.
    let slow = durations.iter().filter(|duration| **duration > SLOW).count();
    ensure!(slow <= durations.len() / 5, "{slow} requests took more than {SLOW:?}: {durations:?}");
    for service in [&scene.write, &scene.projector] {
        wait::until("spans that are dropped", LIMIT, async || match scene.metric(service, DROPPED).await {
            Ok(Some(dropped)) if dropped > 0.0 => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await?;
    }
    let session = scene.database.connect().await?;
    wait::until("all orders to be projected", LIMIT, async || {
        let count = session.query_one("SELECT count(*) FROM order_summary", &[]).await;
        match count.map(|row| row.get::<_, i64>(0)) {
            Ok(50) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    let Scene { write, projector, .. } = scene;
    for service in [write, projector] {
        let (start, name) = (Instant::now(), service.kind().name());
        ensure!(service.stop()?.success());
        ensure!(start.elapsed() < LONGEST_STOP, "{name} took {:?}", start.elapsed());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_dead_collector() -> Result<()> {
    // Nothing listens at the port of an HTTP server that was never there.
    let dead = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    check(Collector::start(Mode::Accept).await?, &[dead]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_collector_that_hangs() -> Result<()> {
    let patient = [("OTEL_EXPORTER_OTLP_TIMEOUT", "60000"), ("OTEL_BSP_EXPORT_TIMEOUT", "60000")];
    check(Collector::start(Mode::Hang).await?, &patient).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_collector_that_refuses() -> Result<()> {
    check(Collector::start(Mode::Refuse(503)).await?, &[]).await
}
