//! Three replicas of each API behind a load balancer, restarted one after the other under load.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use testkit::services::{Service, ServiceBinaries, ServiceKind};
use testkit::test_database::TestDatabase;
use testkit::wait;
use tokio_util::task::AbortOnDropHandle;

use crate::proxy::{Proxy, find, free_ports};

/// Long enough for checks every 200 ms to notice, also on a busy machine.
const DELAY_MS: &str = "2000";

/// Fewest requests to each API.
const REQUESTS: usize = 2_000;

/// A replica that restarts at the same addresses.
struct Replica {
    kind: ServiceKind,
    port: u16,
    admin_port: u16,
    service: Option<Service>,
}

impl Replica {
    async fn start(&mut self, database: &TestDatabase, logs: &Path) -> Result<()> {
        let program = ServiceBinaries::built().await?.program(self.kind);
        let admin_port = self.admin_port.to_string();
        let vars = [("SHUTDOWN_DELAY_MS", DELAY_MS), ("ADMIN_PORT", admin_port.as_str())];
        let url = database.url(self.kind.role());
        let mut service = Service::start_with(&vars, self.kind, &program, &url, self.port, logs)?;
        service.wait_until_ready().await?;
        self.service = Some(service);
        Ok(())
    }

    /// Waits until the balancer sends requests to it again.
    async fn wait_for_connections(&self) -> Result<()> {
        let metrics = format!("http://127.0.0.1:{}/metrics", self.admin_port);
        wait::until("HAProxy to use it again", Duration::from_secs(20), || async {
            let metrics = reqwest::get(&metrics).await.map_err(|error| error.to_string())?;
            let text = metrics.text().await.map_err(|error| error.to_string())?;
            let used = text.lines().find_map(|line| {
                line.strip_prefix("orders_http_connections_total{listener=\"api\"} ")?.parse::<u64>().ok()
            });
            used.filter(|used| *used > 0).map(|_| ()).ok_or(text)
        })
        .await?;
        Ok(())
    }
}

fn config(fronts: [u16; 2], replicas: &[Replica]) -> String {
    let mut text =
        "global\n  maxconn 500\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  \
                    timeout server 30s\n  timeout check 5s\n  retries 0\n  option httpchk GET /readyz\n"
            .to_owned();
    for (kind, port) in [ServiceKind::WriteApi, ServiceKind::ReadApi].into_iter().zip(fronts) {
        let _ok = writeln!(text, "listen {}\n  bind 127.0.0.1:{port}\n  balance roundrobin", kind.name());
        for replica in replicas.iter().filter(|replica| replica.kind == kind) {
            let Replica { port, admin_port, .. } = replica;
            let server = format!("server r{port} 127.0.0.1:{port}");
            let _ok = writeln!(text, "  {server} check port {admin_port} inter 200ms fall 1 rise 1");
        }
    }
    text
}

/// Counts the requests, and keeps the outcomes of the lost ones.
#[derive(Default)]
struct Tally {
    made: AtomicUsize,
    lost: std::sync::Mutex<Vec<String>>,
    is_over: AtomicBool,
}

async fn keep_requesting(kind: ServiceKind, port: u16, tally: Arc<Tally>) {
    let client = reqwest::Client::new();
    let order = json!({"customer_id": "alice", "items": [{"sku": "TEA", "quantity": 1, "price_cents": 450}]});
    while !tally.is_over.load(Ordering::Relaxed) {
        let request = match kind {
            ServiceKind::WriteApi => client.post(format!("http://127.0.0.1:{port}/orders")).json(&order),
            _ => client.get(format!("http://127.0.0.1:{port}/customers/bob/orders")),
        };
        let outcome = request.send().await.and_then(reqwest::Response::error_for_status);
        tally.made.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = outcome
            && let Ok(mut lost) = tally.lost.lock()
        {
            lost.push(format!("{error:?}"));
        }
        // A thousand per second are enough, and leave CPU time to the replicas.
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
}

#[tokio::test]
async fn a_rolling_restart_behind_haproxy_loses_no_request_without_a_retry() -> Result<()> {
    let Some(program) = find("haproxy")? else { return Ok(()) };
    let database = TestDatabase::create().await?;
    let logs = tempfile::tempdir()?;
    let [write, read, ports @ ..] = free_ports::<14>()?;
    let mut replicas: Vec<_> = ports
        .as_chunks::<2>()
        .0
        .iter()
        .zip([ServiceKind::WriteApi, ServiceKind::ReadApi].into_iter().cycle())
        .map(|([port, admin_port], kind)| Replica {
            kind,
            port: *port,
            admin_port: *admin_port,
            service: None,
        })
        .collect();
    for replica in &mut replicas {
        replica.start(&database, logs.path()).await?;
    }
    let _haproxy =
        Proxy::start(&program, &["-db", "-f"], write, |_| config([write, read], &replicas)).await?;

    let tallies = [(ServiceKind::WriteApi, write), (ServiceKind::ReadApi, read)]
        .map(|(kind, port)| (kind, port, Arc::new(Tally::default())));
    let asking: Vec<_> = tallies
        .iter()
        .flat_map(|(kind, port, tally)| {
            (0..4).map(|_| {
                AbortOnDropHandle::new(tokio::spawn(keep_requesting(*kind, *port, Arc::clone(tally))))
            })
        })
        .collect();
    for replica in &mut replicas {
        replica.wait_for_connections().await?;
        let service = replica.service.take().context("it does not run")?;
        let status = tokio::task::spawn_blocking(move || service.stop()).await??;
        assert!(status.success(), "{status}");
        replica.start(&database, logs.path()).await?;
        replica.wait_for_connections().await?;
    }
    for (kind, _, tally) in &tallies {
        wait::until("enough requests", Duration::from_mins(1), || {
            let made = tally.made.load(Ordering::Relaxed);
            std::future::ready(if made >= REQUESTS { Ok(()) } else { Err((kind, made)) })
        })
        .await?;
        tally.is_over.store(true, Ordering::Relaxed);
    }
    for task in asking {
        task.await?;
    }
    for (kind, _, tally) in &tallies {
        let made = tally.made.load(Ordering::Relaxed);
        let lost = tally.lost.lock().map(|lost| lost.clone()).unwrap_or_default();
        println!("{}: {} of {made} requests lost", kind.name(), lost.len());
        assert_eq!(lost, Vec::<String>::new(), "{} of {made}", kind.name());
    }
    Ok(())
}
