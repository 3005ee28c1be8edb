//! Writers that commit late or roll back, projectors that are killed: every reader gets every event, in order.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use shared_events::OrderEvent;
use testkit::services::{Service, ServiceKind};
use tokio::task::JoinSet;
use tokio_postgres::Client;
use uuid::Uuid;

use super::{Reader, publish};
use crate::support::{Scene, event};

const WRITERS: u128 = 6;
const TRANSACTIONS: u32 = 120;
const PROJECTORS: usize = 5;
const READERS: usize = 3;
/// Ends the killing: each start costs as much as the projection of hundreds of events.
const KILLED: usize = 40;
/// It takes ten seconds alone on two cores, four times as long beside other tests.
const LIMIT: Duration = Duration::from_secs(150);

/// Writes versions of its own orders, as write-api does: the next version after the commit of the one before. Some
/// transactions roll back, some stay open for a while. Returns how many events it committed.
async fn write(mut session: Client, writer: u128, mut random: Rng) -> Result<usize> {
    let mut versions: BTreeMap<u128, i32> = BTreeMap::new();
    let mut written = 0;
    for _ in 0..TRANSACTIONS {
        let transaction = session.transaction().await?;
        // Assigns the xid before ids are allocated.
        transaction.query("SELECT pg_current_xact_id()", &[]).await?;
        let mut new = BTreeMap::new();
        for _ in 0..random.u8(1..=3) {
            let order = writer * 1_000 + random.u128(0..20);
            let version = versions.get(&order).copied().unwrap_or_default() + 1;
            if new.insert(order, version).is_none() {
                let encoded = event(order, version).encode()?;
                let insert = "INSERT INTO outbox (kind, payload) VALUES ($1, $2::text::json)";
                transaction.execute(insert, &[&encoded.kind, &encoded.payload]).await?;
            }
        }
        tokio::time::sleep(Duration::from_millis(if random.u8(..) < 25 { 60 } else { 2 })).await;
        if random.u8(..) < 50 {
            transaction.rollback().await?;
        } else {
            transaction.commit().await?;
            written += new.len();
            versions.extend(new);
        }
    }
    Ok(written)
}

/// What one reader got: in the order of the log.
#[derive(Default)]
struct Received {
    events: BTreeMap<Uuid, Vec<i32>>,
    count: usize,
}

impl Received {
    fn add(&mut self, events: &[projector::event_log::LoggedEvent]) -> Result<()> {
        for logged in events {
            let event = OrderEvent::decode(&logged.kind, &logged.payload)?;
            self.events.entry(event.order.order_id).or_default().push(event.order.version);
            self.count += 1;
        }
        Ok(())
    }
}

/// Reads until it has as many events as were written, each once and in the order of versions.
async fn read(mut reader: Reader, written: Arc<std::sync::OnceLock<usize>>) -> Result<Received> {
    let mut received = Received::default();
    let start = Instant::now();
    loop {
        let read = reader.read().await?;
        received.add(&read.events)?;
        if written.get().is_some_and(|written| received.count >= *written) {
            return Ok(received);
        }
        ensure!(start.elapsed() < LIMIT, "{} events after {LIMIT:?}, hole {:?}", received.count, read.hole);
        if !read.is_more {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Kills projectors at random moments and starts others, until `is_done` or enough were killed.
fn kill_and_restart(url: &str, mut random: Rng, is_done: &AtomicBool) -> Result<usize> {
    let program = Path::new(env!("CARGO_BIN_EXE_projector"));
    let logs = tempfile::tempdir()?;
    let settings = [("WORKERS", "3"), ("BATCH_MAX", "7")];
    let start = || Service::start_with(&settings, ServiceKind::Projector, program, url, 0, logs.path());
    let mut running = (0..PROJECTORS).map(|_| start()).collect::<Result<Vec<_>, _>>()?;
    let mut killed = 0;
    while !is_done.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(random.u64(20..150)));
        if killed < KILLED {
            running.swap_remove(random.usize(0..PROJECTORS)).kill();
            running.push(start()?);
            killed += 1;
        }
    }
    Ok(killed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_reader_gets_every_event_once_and_each_order_in_the_order_of_its_versions() -> Result<()> {
    let seed = fastrand::u64(..);
    storm(seed).await.with_context(|| format!("seed {seed}"))
}

async fn storm(seed: u64) -> Result<()> {
    let mut random = Rng::with_seed(seed);
    let scene = Scene::create().await?;
    let is_done = Arc::new(AtomicBool::new(false));
    let killing = {
        let (url, is_done) = (scene.database.url("orders_projector"), Arc::clone(&is_done));
        let random = random.fork();
        tokio::task::spawn_blocking(move || kill_and_restart(&url, random, &is_done))
    };
    let received = write_and_read(&scene, random).await;
    is_done.store(true, Ordering::Relaxed);
    let killed = killing.await??;
    let (received, committed) = received?;
    assert!(killed >= 5, "too few projectors were killed");
    for received in &received {
        check(received, committed);
    }
    Ok(())
}

/// Returns what each reader got, and how many events were committed.
async fn write_and_read(scene: &Scene, mut random: Rng) -> Result<(Vec<Received>, usize)> {
    let mut writers = JoinSet::new();
    for writer in 1..=WRITERS {
        writers.spawn(write(scene.database.connect().await?, writer, random.fork()));
    }
    let written = Arc::new(std::sync::OnceLock::new());
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        readers.spawn(read(Reader::at_start(scene)?, Arc::clone(&written)));
    }
    // One projector that is never killed publishes how far ids are settled.
    let worker = scene.worker(5)?;
    let (mut committed, mut all) = (0, Vec::new());
    while all.len() < READERS {
        tokio::select! {
            Some(count) = writers.join_next() => {
                committed += count??;
                if writers.is_empty() && written.set(committed).is_err() {
                    bail!("the writers ended twice");
                }
            }
            Some(received) = readers.join_next() => {
                all.push(received??);
            }
            () = tokio::time::sleep(Duration::from_millis(5)) => {
                worker.run_once().await?;
                publish(scene, worker.low_water_mark()).await?;
            }
        }
    }
    Ok((all, committed))
}

fn check(received: &Received, committed: usize) {
    assert_eq!(received.count, committed, "every event, none twice");
    for (order, versions) in &received.events {
        let rising: Vec<i32> = (1..).take(versions.len()).collect();
        assert_eq!(*versions, rising, "{order}");
    }
}
