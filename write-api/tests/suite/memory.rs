//! Pending requests are limited in bytes, and large orders leave room for small ones (I10).

use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use chrono::Utc;
use futures_util::future::try_join_all;
use reqwest::StatusCode;
use testkit::fault_proxy::Wire;
use testkit::services::{Service, ServiceKind};
use testkit::test_database::TestDatabase;
use testkit::wait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use write_api::port::{OrderWriter, SaveResult, WriteError};

use crate::support::{Api, SingleSessionWriter, large_order, order, problem, some_large_order, some_order};

const MIB: usize = 1024 * 1024;

/// A line of `/proc/<pid>/status`, in bytes.
fn memory(pid: u32, name: &str) -> Result<usize> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
    let kilobytes: usize = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}

#[tokio::test]
async fn while_the_database_is_frozen_memory_stays_within_its_budget_and_is_returned() -> Result<()> {
    const BUDGET: usize = 32 * MIB;
    const CLIENTS: usize = 600;
    const WRITE_DEADLINE_SECONDS: u64 = 4;
    /// Memory of the server for each client.
    const CONNECTION: usize = 64 * 1024;
    let database = TestDatabase::create().await?;
    let (proxy, url) = database.behind_a_proxy("orders_write_api").await?;
    let (budget, logs) = (BUDGET.to_string(), tempfile::tempdir()?);
    let deadline = (WRITE_DEADLINE_SECONDS * 1000).to_string();
    let variables = [
        ("WRITE_BUDGET_BYTES", budget.as_str()),
        ("WRITE_DEADLINE_MS", deadline.as_str()),
        ("RUST_LOG", "error"),
    ];
    let program = Path::new(env!("CARGO_BIN_EXE_write-api"));
    let mut service = Service::start_with(&variables, ServiceKind::WriteApi, program, &url, 0, logs.path())?;
    service.wait_until_ready().await?;
    let (client, orders) = (reqwest::Client::new(), format!("{}/orders", service.url()));
    let place = async |body: &'static str| {
        let request = client.post(&orders).header("content-type", "application/json");
        request.body(body).send().await
    };
    let (small, large): (&str, &str) = (order().to_string().leak(), large_order().to_string().leak());
    assert_eq!(place(small).await?.status(), StatusCode::CREATED);
    let before = memory(service.pid(), "VmRSS")?;

    proxy.set(Wire::RequestsLost);
    let start = Instant::now();
    let waited = AtomicUsize::new(0);
    let placing = (0..CLIENTS).map(|_| async {
        let response = place(large).await?;
        // On a busy machine, a body may arrive too slowly.
        if response.status() != StatusCode::REQUEST_TIMEOUT {
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            let problem = problem(response).await?;
            if !problem["detail"].as_str().is_some_and(|detail| detail.contains("Too many orders")) {
                waited.fetch_add(1, Ordering::Relaxed);
            }
        }
        anyhow::Ok(())
    });
    try_join_all(placing).await?;
    let most = memory(service.pid(), "VmHWM")?;
    let waited = waited.into_inner();
    println!("{waited} waited; {before} bytes before, {most} at most; {:?}", start.elapsed());
    // Each write takes about 450 kB until its deadline. On a busy machine, the clients arrive over several deadlines.
    let deadlines = usize::try_from(start.elapsed().as_secs() / WRITE_DEADLINE_SECONDS)?.max(1);
    assert!((20..=deadlines * BUDGET / 400_000).contains(&waited), "{waited} of {CLIENTS} waited");
    assert!(
        most < before + BUDGET + CLIENTS * CONNECTION + 64 * MIB,
        "{before} bytes before, {most} at most"
    );

    proxy.heal_for_new_connections();
    wait::until("memory to be returned", Duration::from_secs(30), || async {
        let now = memory(service.pid(), "VmRSS").unwrap_or(usize::MAX);
        if now < before + 64 * MIB { Ok(()) } else { Err(now) }
    })
    .await?;
    wait::until("orders to be accepted", Duration::from_secs(30), || async {
        let status = place(large).await.map(|response| response.status());
        if matches!(status, Ok(StatusCode::CREATED)) { Ok(()) } else { Err(status) }
    })
    .await?;
    Ok(())
}

/// Repeatedly sends nearly all of a body of the largest size. The server waits 5 seconds for the rest.
async fn hold_a_body(address: &str) -> Result<Infallible> {
    let head = "POST /orders HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                content-type: application/json\r\ncontent-length: 1048576\r\n\r\n";
    loop {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(head.as_bytes()).await?;
        // The server may respond and close before everything is sent.
        let _refused = stream.write_all(&vec![b' '; 1_040_000]).await;
        let _response = stream.read_to_end(&mut Vec::new()).await;
    }
}

#[tokio::test]
async fn bodies_that_are_being_read_count_and_leave_room_for_small_orders() -> Result<()> {
    let api = Api::start_with(&[("WRITE_BUDGET_BYTES", "16777216")]).await?;
    let address = api.url.trim_start_matches("http://");
    let large = large_order().to_string();
    let place_large = async || {
        let request =
            api.client.post(format!("{}/orders", api.url)).header("content-type", "application/json");
        request.body(large.clone()).send().await.map(|response| response.status())
    };
    let trying = async {
        wait::until("a large order to be refused", Duration::from_secs(20), || async {
            let status = place_large().await;
            if matches!(status, Ok(StatusCode::SERVICE_UNAVAILABLE)) { Ok(()) } else { Err(status) }
        })
        .await?;
        assert_eq!(
            api.place(&order()).await?.status(),
            StatusCode::CREATED,
            "there is room for a small order"
        );
        anyhow::Ok(())
    };
    // Together they would exceed the budget.
    let holding = try_join_all((0..8).map(|_| hold_a_body(address)));
    tokio::select! {
        tried = trying => tried?,
        held = holding => anyhow::bail!("cannot hold bodies: {held:?}"),
    }
    wait::until("their memory to be free", Duration::from_secs(30), || async {
        let status = place_large().await;
        if matches!(status, Ok(StatusCode::CREATED)) { Ok(()) } else { Err(status) }
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_small_order_overtakes_queued_large_orders() -> Result<()> {
    let SingleSessionWriter { test_database, writer, .. } = SingleSessionWriter::open().await?;
    let larges: Vec<_> = (0..12).map(|_| some_large_order(Utc::now())).collect::<Result<_>>()?;
    let (small, event) = some_order(Utc::now())?;
    // All of them are queued before the batcher runs for the first time.
    let saving = try_join_all(larges.iter().map(|(order, event)| writer.save(order, event.clone())));
    let (saved, small_saved) = tokio::try_join!(saving, writer.save(&small, event))?;
    assert!(saved.iter().chain([&small_saved]).all(|saved| *saved == SaveResult::Stored));
    let later = "SELECT count(*) FROM outbox WHERE id >
                 (SELECT id FROM outbox WHERE payload -> 'order' ->> 'order_id' = $1)";
    let session = test_database.connect().await?;
    let later: i64 = session.query_one(later, &[&small.id().to_string()]).await?.get(0);
    assert_eq!(later, 12, "large orders stored after the small one");
    Ok(())
}

#[tokio::test]
async fn the_order_that_a_step_holds_in_memory_counts() -> Result<()> {
    let SingleSessionWriter { test_database: _kept, writer, budget, .. } =
        SingleSessionWriter::open().await?;
    let (large, placed) = some_large_order(Utc::now())?;
    assert_eq!(writer.save(&large, placed).await?, SaveResult::Stored);
    let mut all_but_a_little = budget.share();
    while all_but_a_little.grow(64 * 1024).is_ok() {}
    let (paid, event) = large.pay(Utc::now())?;
    let result = writer.save(&paid, event.clone()).await;
    assert!(matches!(result, Err(WriteError::Busy)), "{result:?}");
    let (small, placed) = some_order(Utc::now())?;
    assert_eq!(writer.save(&small, placed).await?, SaveResult::Stored);
    drop(all_but_a_little);
    assert_eq!(writer.save(&paid, event).await?, SaveResult::Stored);
    Ok(())
}

#[tokio::test]
async fn a_write_whose_caller_is_gone_counts_until_its_memory_is_released() -> Result<()> {
    let SingleSessionWriter { test_database, writer, budget, .. } = SingleSessionWriter::open().await?;
    let mut session = test_database.connect().await?;
    let lock = session.transaction().await?;
    lock.batch_execute("LOCK TABLE outbox IN EXCLUSIVE MODE").await?;
    let (large, event) = some_large_order(Utc::now())?;
    // Nothing is stored while the table is locked.
    let gone = tokio::time::timeout(Duration::from_millis(100), writer.save(&large, event)).await;
    assert!(gone.is_err());
    assert!(budget.held() > 300_000, "{}", budget.held());
    lock.rollback().await?;
    wait::until("the write to be stored and released", Duration::from_secs(30), || {
        std::future::ready(if budget.held() == 0 { Ok(()) } else { Err(budget.held()) })
    })
    .await?;
    assert!(writer.find(large.id(), None).await?.is_some());
    Ok(())
}
