//! A cell under load, and what must be right afterwards.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::cell::{CUSTOMER, CellScene, id_of};
use testkit::citus::{CitusCluster, Node};
use testkit::wait;
use tokio::task::JoinSet;

use crate::followers::{Feed, Stream};

const LIMIT: Duration = Duration::from_mins(1);

/// The customers who order without a pause between two orders. [`CUSTOMER`] does too, but slowly, so that the snapshot
/// of a stream has all that was changed while the stream was interrupted.
const CUSTOMERS: [&str; 3] = ["bob", "carol", "dave"];

/// Clients that place and pay orders, and repeat each request until it is acknowledged; a stream and a feed that go on
/// where they were interrupted.
pub(crate) struct Shop {
    pub(crate) scene: Arc<CellScene>,
    tally: Arc<Tally>,
    clients: JoinSet<Result<()>>,
    stream: Stream,
    feed: Feed,
}

#[derive(Default)]
struct Tally {
    is_closing: AtomicBool,
    /// The ids of orders that were placed and paid.
    paid: Mutex<Vec<String>>,
    requests: AtomicUsize,
    /// What requests failed with, and how often.
    failures: Mutex<BTreeMap<String, usize>>,
    slowest: Mutex<Duration>,
}

impl Shop {
    pub(crate) fn open(scene: CellScene) -> Self {
        let (scene, tally) = (Arc::new(scene), Arc::<Tally>::default());
        let mut clients = JoinSet::new();
        for customer in CUSTOMERS.into_iter().chain([CUSTOMER]) {
            clients.spawn(order_until_closed(Arc::clone(&scene), Arc::clone(&tally), customer));
        }
        let (stream, feed) = (Stream::follow(Arc::clone(&scene)), Feed::follow(Arc::clone(&scene)));
        Self { scene, tally, clients, stream, feed }
    }

    /// The number of orders that were placed and paid.
    pub(crate) fn paid(&self) -> usize {
        lock(&self.tally.paid).len()
    }

    /// Waits until as many more orders are placed and paid.
    pub(crate) async fn until_more(&self, more: usize) -> Result<()> {
        let expected = self.paid() + more;
        wait::until("more orders", LIMIT, async || {
            let paid = self.paid();
            if paid >= expected { Ok(()) } else { Err((paid, lock(&self.tally.failures).clone())) }
        })
        .await?;
        Ok(())
    }

    /// What has happened since the last call, for the log of a run.
    pub(crate) fn report(&self, what: &str, took: Duration) {
        let requests = self.tally.requests.swap(0, Ordering::Relaxed);
        let failures = std::mem::take(&mut *lock(&self.tally.failures));
        let slowest = std::mem::take(&mut *lock(&self.tally.slowest));
        let line =
            format!("{what}: {took:.1?}, {requests} requests, slowest {slowest:.1?}, failures {failures:?}");
        let _cannot_print = writeln!(io::stderr(), "{line}");
    }

    /// Ends the load. Each order that was placed is paid by then; nothing of it may be missing anywhere.
    pub(crate) async fn close(mut self, cluster: &CitusCluster, owner: Node) -> Result<()> {
        self.tally.is_closing.store(true, Ordering::Relaxed);
        while let Some(ended) = self.clients.join_next().await {
            ended??;
        }
        let mut paid = lock(&self.tally.paid).clone();
        paid.sort();
        let cell = self.scene.name;
        let session = cluster.connect(owner).await?;
        for table in ["orders", "order_summary"] {
            let query = format!(
                "SELECT order_id::text FROM {cell}.{table} WHERE status = 'paid' AND version = 2 ORDER BY 1"
            );
            wait::until(table, LIMIT, async || {
                let rows = session.query(&query, &[]).await.map_err(|error| error.to_string())?;
                let found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
                if found == paid { Ok(()) } else { Err(format!("{} of {}", found.len(), paid.len())) }
            })
            .await?;
            let all: i64 =
                session.query_one(&format!("SELECT count(*) FROM {cell}.{table}"), &[]).await?.get(0);
            ensure!(usize::try_from(all)? == paid.len(), "{table} has {all} rows of {}", paid.len());
        }
        let parked: i64 =
            session.query_one(&format!("SELECT count(*) FROM {cell}.parked_events"), &[]).await?.get(0);
        ensure!(parked == 0, "{parked} events are parked");
        self.feed.has_all(&paid).await?;
        let sent = self.scene.sent(2 * paid.len()).await?;
        ensure!(
            sent.len() == 2 * paid.len(),
            "the webhook has sent {} events of {}",
            sent.len(),
            2 * paid.len()
        );
        self.stream.has_all(&session, cell).await
    }
}

async fn order_until_closed(scene: Arc<CellScene>, tally: Arc<Tally>, customer: &'static str) -> Result<()> {
    let mut number = 0;
    while !tally.is_closing.load(Ordering::Relaxed) {
        number += 1;
        let key = format!("{customer}-{number}");
        let order = tally.until_acknowledged(|| scene.place_for(customer, &key)).await?;
        let id = id_of(&order)?;
        let nothing = json!({});
        tally.until_acknowledged(|| scene.step(&id, "pay", &nothing)).await?;
        lock(&tally.paid).push(id);
        let pause = if customer == CUSTOMER { Duration::from_millis(300) } else { Duration::from_millis(5) };
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

impl Tally {
    fn count(&self, took: Duration) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut slowest = lock(&self.slowest);
        *slowest = slowest.max(took);
    }

    /// Repeats a request until it succeeds. Only what the clients of a failing service must expect may happen before.
    async fn until_acknowledged<F>(&self, request: impl Fn() -> F) -> Result<Value>
    where
        F: Future<Output = Result<(StatusCode, Value)>>,
    {
        let start = Instant::now();
        loop {
            let sent = Instant::now();
            let response = request().await;
            self.count(sent.elapsed());
            let failure = match response {
                Ok((status, body)) if status.is_success() => return Ok(body),
                Ok((StatusCode::SERVICE_UNAVAILABLE, body)) => {
                    body.get("type").and_then(Value::as_str).context("no problem")?.to_owned()
                }
                Ok((status, body)) => anyhow::bail!("{status}: {body}"),
                Err(error) => format!("{}", error.root_cause()),
            };
            *lock(&self.failures).entry(failure).or_default() += 1;
            ensure!(start.elapsed() < LIMIT, "not acknowledged: {:?}", lock(&self.failures));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
