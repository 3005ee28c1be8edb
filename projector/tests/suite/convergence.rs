//! For any order, repetition and distribution of events, the read model ends with the newest version of each
//! order (I7).

use std::sync::Arc;

use anyhow::{Result, ensure};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use shared_events::OrderEvent;
use tokio::task::JoinSet;

use crate::support::{Scene, drain, event, order_id};

/// The versions of an order for which events are sent, in this order. The newest one is among them.
#[derive(Debug, Clone)]
struct History {
    versions: Vec<i32>,
}

fn any_history() -> impl Strategy<Value = History> {
    (1..=4_i32)
        .prop_flat_map(|newest| {
            (Just(newest), prop::collection::vec(1..=newest, 0..6), any::<prop::sample::Index>())
        })
        .prop_map(|(newest, mut versions, position)| {
            versions.insert(position.index(versions.len() + 1), newest);
            History { versions }
        })
}

#[derive(Debug, Clone)]
struct Case {
    histories: Vec<History>,
    shuffle: Vec<prop::sample::Index>,
    workers: Vec<i64>,
}

fn any_case() -> impl Strategy<Value = Case> {
    let histories = prop::collection::vec(any_history(), 250);
    let shuffle = prop::collection::vec(any::<prop::sample::Index>(), 2_000);
    let workers = prop::collection::vec(prop_oneof![Just(1), 2..20_i64, 20..500_i64], 1..6);
    (histories, shuffle, workers).prop_map(|(histories, shuffle, workers)| Case {
        histories,
        shuffle,
        workers,
    })
}

/// All events of all orders, shuffled: each is swapped with any other.
fn events(case: &Case) -> Vec<OrderEvent> {
    let orders = (1..).zip(&case.histories);
    let mut events: Vec<_> = orders
        .flat_map(|(order, history)| history.versions.iter().map(move |version| event(order, *version)))
        .collect();
    let length = events.len();
    for (position, other) in (0..length).zip(&case.shuffle) {
        events.swap(position, other.index(length));
    }
    events
}

async fn check(scene: &Scene, case: &Case) -> Result<()> {
    scene.session.batch_execute("TRUNCATE order_summary").await?;
    let events = events(case);
    scene.emit_all(&events).await?;
    let mut workers = JoinSet::new();
    for batch_size in &case.workers {
        let worker = scene.worker(*batch_size)?;
        workers.spawn(async move { drain(&Arc::clone(&worker)).await });
    }
    let mut applied = 0;
    while let Some(drained) = workers.join_next().await {
        applied += drained??.0;
    }
    ensure!(applied == events.len(), "{applied} of {} events were applied", events.len());
    let found = scene.summaries().await?;
    for ((order, history), (id, version, _)) in (1..).zip(&case.histories).zip(&found) {
        let newest = history.versions.iter().max();
        ensure!(
            *id == order_id(order).to_string() && Some(version) == newest,
            "{id} has {version}, not {newest:?}"
        );
    }
    ensure!(found.len() == case.histories.len(), "{} rows", found.len());
    let mixed = "SELECT count(*) FROM order_summary WHERE total_cents <> version * 100
                 OR status <> (ARRAY['placed', 'paid', 'shipped', 'delivered'])[version]";
    let mixed: i64 = scene.session.query_one(mixed, &[]).await?.get(0);
    ensure!(mixed == 0, "{mixed} rows have columns of different versions");
    Ok(())
}

/// 24 × 250 histories, each run with its own order and workers.
#[test]
fn any_sequence_repetition_and_distribution_of_events_gives_the_newest_versions() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let scene = runtime.block_on(Scene::create()).unwrap();
    TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() })
        .run(&any_case(), |case| {
            runtime.block_on(check(&scene, &case)).map_err(|error| TestCaseError::fail(format!("{error:#}")))
        })
        .unwrap();
}
