//! Start and end of the real binary.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use service_kit::config::Vars;
use service_kit::tasks::{CriticalTasks, ServiceError};
use testkit::services::{Service, ServiceKind};
use testkit::test_database::TestDatabase;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use write_api::Config;

use crate::support::{SingleSessionWriter, order};

const PROGRAM: &str = env!("CARGO_BIN_EXE_write-api");

#[test]
fn an_invalid_configuration_ends_the_process_at_once_and_names_the_variable() -> Result<()> {
    let good = ("DATABASE_URL", "postgres://orders_write_api@localhost/orders");
    for (variable, vars) in [
        ("DATABASE_URL (or DATABASE_URL_FILE) is not set", vec![]),
        ("DATABASE_URL and DATABASE_URL_FILE are both set", vec![good, ("DATABASE_URL_FILE", "/url")]),
        ("DATABASE_URL_FILE names a file that cannot be read", vec![("DATABASE_URL_FILE", "/no/such/file")]),
        ("DATABASE_URL has no sslmode", vec![("DATABASE_URL", "postgres://app@db.example/orders")]),
        ("DATABASE_URL", vec![("DATABASE_URL", "nonsense")]),
        ("DATABASE_POOL_SIZE", vec![good, ("DATABASE_POOL_SIZE", "0")]),
        ("PORT", vec![good, ("PORT", "http")]),
        ("BIND_ADDRESS", vec![good, ("BIND_ADDRESS", "everywhere")]),
        ("ADMIN_ADDRESS", vec![good, ("ADMIN_ADDRESS", "everywhere")]),
        ("ADMIN_PORT", vec![good, ("ADMIN_PORT", "http")]),
        ("HTTP_WORKERS", vec![good, ("HTTP_WORKERS", "0")]),
        ("AUTH is not set", vec![good]),
        ("AUTH must not be `off`", vec![good, ("AUTH", "off"), ("BIND_ADDRESS", "0.0.0.0")]),
        ("LOG_FORMAT", vec![good, ("LOG_FORMAT", "xml")]),
    ] {
        let output = Command::new(PROGRAM).env_clear().envs(vars).stdin(Stdio::null()).output()?;
        let log = String::from_utf8(output.stdout)?;
        assert!(!log.contains("has died"), "{variable}: {log}");
        let line: serde_json::Value = serde_json::from_str(log.lines().last().context("no line")?)?;
        let error = line["error"].as_str().context("no error")?;
        assert_eq!((output.status.code(), line["level"].as_str()), (Some(78), Some("ERROR")), "{line}");
        assert!(error.contains(variable) && output.stderr.is_empty(), "{variable}: {error}");
    }
    Ok(())
}

#[tokio::test]
async fn on_sigterm_the_request_in_flight_completes_and_the_process_ends_with_success() -> Result<()> {
    let database = TestDatabase::create().await?;
    let logs = tempfile::tempdir()?;
    let url = database.url("orders_write_api");
    let mut service = Service::start(ServiceKind::WriteApi, Path::new(PROGRAM), &url, 0, logs.path())?;
    service.wait_until_ready().await?;
    let address = service.url().trim_start_matches("http://").to_owned();

    let body = order().to_string();
    let (first_half, second_half) = body.split_at(body.len() / 2);
    let mut request = TcpStream::connect(&address).await?;
    // "100 Continue" shows that a worker has the request.
    let head =
        "POST /orders HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let head = format!("{head}expect: 100-continue\r\ncontent-length: {}\r\n\r\n", body.len());
    request.write_all(head.as_bytes()).await?;
    let mut go_on = [0; 25];
    request.read_exact(&mut go_on).await?;
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    request.write_all(first_half.as_bytes()).await?;
    // Idle connections must not delay the end: one that was used and kept alive, and one that was never used.
    let keep_alive = reqwest::Client::new();
    keep_alive.get(format!("http://{address}/openapi.json")).send().await?.bytes().await?;
    let _unused = TcpStream::connect(&address).await?;

    let start = Instant::now();
    let stopping = tokio::task::spawn_blocking(move || service.stop());
    testkit::wait::until("the port to be closed", Duration::from_secs(30), || async {
        if TcpStream::connect(&address).await.is_err() { Ok(()) } else { Err("still accepting") }
    })
    .await?;
    request.write_all(second_half.as_bytes()).await?;
    let mut response = String::new();
    request.read_to_string(&mut response).await?;
    assert!(response.starts_with("HTTP/1.1 201 "), "{response}");
    let status = stopping.await?.context("the process had to be killed")?;
    assert!(status.success(), "{status}");
    assert!(start.elapsed() < Duration::from_secs(10), "stopping took {:?}", start.elapsed());
    let stored: i64 = database.connect().await?.query_one("SELECT count(*) FROM orders", &[]).await?.get(0);
    assert_eq!(stored, 1);
    Ok(())
}

fn some_runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// The tasks run on the runtime in which `bind` was called, and die with it. The HTTP threads live on.
#[test]
fn if_a_critical_task_dies_the_process_ends_with_an_error() -> Result<()> {
    let url = "postgres://orders_write_api@%2Fno%2Fsuch%2Fplace/orders";
    let vars = [("DATABASE_URL", url), ("PORT", "0"), ("ADMIN_PORT", "0"), ("AUTH", "off")];
    let vars: Vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let config = Config::from_vars(&vars)?;
    let task_runtime = some_runtime()?;
    let service = task_runtime.block_on(async { write_api::bind(&config, CancellationToken::new()) })?;
    drop(task_runtime);
    let run = async { tokio::time::timeout(Duration::from_secs(10), service.run()).await };
    let error = some_runtime()?.block_on(run).context("the process did not end")?.unwrap_err();
    assert!(matches!(&error, ServiceError::Task(_)), "{error:?}");
    Ok(())
}

#[test]
fn the_batcher_is_a_critical_task() -> Result<()> {
    let tasks = CriticalTasks::new(CancellationToken::new());
    let writer_runtime = some_runtime()?;
    let _writer = writer_runtime.block_on(async { SingleSessionWriter::open_with(&tasks).await })?;
    drop(writer_runtime);
    let died = tasks.check().unwrap_err();
    assert!(died.to_string().contains("group commit"), "{died}");
    assert!(tasks.stop().is_cancelled());
    Ok(())
}
