//! For any order, repetition and distribution of events, written by builds of any age, the read model ends with the
//! newest version of each order and with each fact that any event carried (I7).

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use diesel_async::AsyncPgConnection;
use projector::projection::{OrderSummary, Projection};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use shared_events::{EncodedEvent, OrderEvent};
use testkit::wait;
use tokio::task::JoinSet;

use crate::stories::{Story, Summary, Writer};
use crate::support::{AT_ONCE, Scene, drain};

/// Where an event is when the workers start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Outbox,
    Waiting,
    Parked,
}

/// An event that is sent: of which version, by which build.
#[derive(Debug, Clone, Copy)]
struct Sent {
    version: i32,
    is_republished: bool,
    writer: Writer,
    place: Place,
}

/// The events of an order, in this sequence. The newest version is among them.
#[derive(Debug, Clone)]
struct History {
    cancelled_as: Option<i32>,
    sent: Vec<Sent>,
}

fn any_sent(versions: impl Strategy<Value = i32>) -> impl Strategy<Value = Sent> {
    let place = prop_oneof![8 => Just(Place::Outbox), 1 => Just(Place::Waiting), 1 => Just(Place::Parked)];
    (versions, prop::bool::weighted(0.2), select(Writer::ALL.as_slice()), place)
        .prop_map(|(version, is_republished, writer, place)| Sent { version, is_republished, writer, place })
}

fn any_history() -> impl Strategy<Value = History> {
    let newest_and_cancellation =
        prop_oneof![(1..=4_i32).prop_map(|newest| (newest, None)), select(&[(2, Some(2)), (3, Some(3))][..])];
    newest_and_cancellation.prop_flat_map(|(newest, cancelled_as)| {
        let others = prop::collection::vec(any_sent(1..=newest), 0..6);
        (others, any_sent(Just(newest)), any::<Index>()).prop_map(move |(mut sent, last, position)| {
            sent.insert(position.index(sent.len() + 1), last);
            History { cancelled_as, sent }
        })
    })
}

#[derive(Debug, Clone)]
struct Case {
    histories: Vec<History>,
    shuffle: Vec<Index>,
    workers: Vec<i64>,
}

fn any_case() -> impl Strategy<Value = Case> {
    let histories = prop::collection::vec(any_history(), 250);
    let shuffle = prop::collection::vec(any::<Index>(), 2_000);
    let workers = prop::collection::vec(prop_oneof![Just(1), 2..20_i64, 20..500_i64], 1..6);
    (histories, shuffle, workers).prop_map(|(histories, shuffle, workers)| Case {
        histories,
        shuffle,
        workers,
    })
}

fn story(order: u128, history: &History) -> Story {
    Story { order, cancelled_as: history.cancelled_as }
}

/// All events of all orders, shuffled: each is swapped with any other.
fn events(case: &Case) -> Result<Vec<(Story, Sent, EncodedEvent)>> {
    let mut events = Vec::new();
    for (order, history) in (1..).zip(&case.histories) {
        let story = story(order, history);
        for sent in &history.sent {
            events.push((story, *sent, story.encoded(sent.version, sent.is_republished, sent.writer)?));
        }
    }
    let length = events.len();
    for (position, other) in (0..length).zip(&case.shuffle) {
        events.swap(position, other.index(length));
    }
    Ok(events)
}

fn expected(case: &Case) -> Result<Vec<Summary>> {
    let row = |(order, history): (u128, &History)| {
        let story = story(order, history);
        let decoded =
            history.sent.iter().map(|sent| story.decoded(sent.version, sent.is_republished, sent.writer));
        Summary::of(&decoded.collect::<Result<Vec<_>>>()?).context("no event")
    };
    (1..).zip(&case.histories).map(row).collect()
}

/// Puts all events where they are when the workers start. Returns how many are not parked.
async fn put(scene: &Scene, events: &[(Story, Sent, EncodedEvent)]) -> Result<usize> {
    let of = |place| events.iter().filter(move |(_, sent, _)| sent.place == place);
    scene.emit_encoded(&of(Place::Outbox).map(|(.., event)| event.clone()).collect::<Vec<_>>()).await?;
    let set_aside = "INSERT INTO waiting_events (id, order_id, version, kind, payload, created_at)
                     VALUES ($1, $2::text::uuid, $3, $4, $5::text::json, now())";
    for (id, (story, sent, event)) in (1_i64..).zip(of(Place::Waiting)) {
        let order = crate::support::order_id(story.order).to_string();
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&id, &order, &sent.version, &event.kind, &event.payload];
        scene.session.execute(set_aside, &values).await?;
    }
    let park = "INSERT INTO parked_events (id, kind, payload, created_at, attempts, error, next_attempt_at)
                VALUES ($1, $2, $3::text::json, now(), 1, 'test', now())";
    for (id, (.., event)) in (1_i64..).zip(of(Place::Parked)) {
        scene.session.execute(park, &[&id, &event.kind, &event.payload]).await?;
    }
    Ok(events.len() - of(Place::Parked).count())
}

/// Tries parked events until none is left.
async fn retry_all(scene: &Scene) -> Result<()> {
    let worker = scene.worker_with_retries(20, AT_ONCE)?;
    wait::until("all parked events to be applied", Duration::from_secs(20), || async {
        let outcome = worker.retry_once().await;
        match scene.count("parked_events").await {
            Ok(0) => Ok(()),
            left => Err(format!("{left:?}, {outcome:?}")),
        }
    })
    .await?;
    Ok(())
}

async fn check(scene: &Scene, case: &Case) -> Result<()> {
    scene.session.batch_execute("TRUNCATE order_summary").await?;
    let not_parked = put(scene, &events(case)?).await?;
    let mut workers = JoinSet::new();
    for batch_size in &case.workers {
        let worker = scene.worker(*batch_size)?;
        workers.spawn(async move { drain(&Arc::clone(&worker)).await });
    }
    retry_all(scene).await?;
    let mut applied = 0;
    while let Some(drained) = workers.join_next().await {
        applied += drained??.0;
    }
    ensure!(applied == not_parked, "{applied} of {not_parked} events were applied");
    let (found, expected) = (Summary::all(scene).await?, expected(case)?);
    ensure!(found.len() == expected.len(), "{} rows", found.len());
    for (found, expected) in found.iter().zip(&expected) {
        ensure!(found == expected, "{found:#?}, not {expected:#?}");
    }
    Ok(())
}

/// 24 × 250 histories, each run with its own order and workers.
#[test]
fn any_sequence_repetition_and_distribution_of_events_gives_the_newest_versions_and_all_facts() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let scene = runtime.block_on(Scene::create()).unwrap();
    TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() })
        .run(&any_case(), |case| {
            runtime.block_on(check(&scene, &case)).map_err(|error| TestCaseError::fail(format!("{error:#}")))
        })
        .unwrap();
}

const VERSIONS: [i32; 4] = [1, 2, 3, 4];

pub(crate) fn permutations() -> Vec<[i32; 4]> {
    let [a, b, c, d] = VERSIONS;
    let three = |[a, b, c]: [i32; 3]| [[a, b, c], [a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]];
    let firsts = [(a, [b, c, d]), (b, [a, c, d]), (c, [a, b, d]), (d, [a, b, c])];
    firsts
        .into_iter()
        .flat_map(|(first, rest)| three(rest).map(|[second, third, fourth]| [first, second, third, fourth]))
        .collect()
}

/// The builds that wrote the four versions of an order: all combinations.
fn writers() -> Vec<[Writer; 4]> {
    let which = |older: u8, version: u8| {
        if older >> version & 1 == 1 { Writer::Older } else { Writer::WithoutItems }
    };
    (0..16).map(|older| [0, 1, 2, 3].map(|version| which(older, version))).collect()
}

async fn apply(connection: &mut AsyncPgConnection, events: &[OrderEvent]) -> Result<()> {
    Ok(OrderSummary.apply(connection, &events.iter().collect::<Vec<_>>()).await?)
}

/// An order for each permutation of its four events, each combination of builds that wrote them, and each way to split
/// them into batches.
#[tokio::test]
async fn every_permutation_in_every_split_into_batches_gives_the_same_row() -> Result<()> {
    let scene = Scene::create().await?;
    let mut connection = scene.open()?.session().await?;
    let (mut batches, mut expected): ([Vec<OrderEvent>; 4], _) = (Default::default(), Vec::new());
    for (permutation, writers, split) in combinations(&permutations(), &writers()) {
        let story = Story::new(u128::try_from(expected.len())? + 1);
        let mut events = Vec::new();
        let mut batch = 0;
        for (position, version) in permutation.into_iter().enumerate() {
            // Bit n of the split: the event after the n-th one comes in a later batch.
            if position > 0 && split & (1 << (position - 1)) > 0 {
                batch += 1;
            }
            let writer = writers[usize::try_from(version - 1)?];
            let event = story.decoded(version, false, writer)?;
            batches[batch].push(event.clone());
            events.push(event);
        }
        expected.push(Summary::of(&events).context("no event")?);
    }
    for _repetition in 0..2 {
        for batch in &batches {
            apply(&mut connection, batch).await?;
        }
        let found = Summary::all(&scene).await?;
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected);
        }
    }
    Ok(())
}

/// All combinations of a permutation, the writers and a split.
fn combinations(permutations: &[[i32; 4]], writers: &[[Writer; 4]]) -> Vec<([i32; 4], [Writer; 4], u8)> {
    let mut all = Vec::new();
    for permutation in permutations {
        for writers in writers {
            all.extend((0..8).map(|split| (*permutation, *writers, split)));
        }
    }
    all
}
