//! Removes what is kept for a time only: attempts and previous secrets. Corrects times that were stored while the clock
//! was ahead.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::FutureExt;
use service_kit::database::{Database, DatabaseError};
use service_kit::telemetry::chain;
use tokio_util::sync::CancellationToken;

use super::delivery::Backlogs;
use super::store::{self, AttemptLimits, CountedAttempts, Latest};

/// How often.
const EVERY: Duration = Duration::from_mins(1);
/// At most 1.1 million attempts of an endpoint are kept: about 110 MB.
const ATTEMPTS: AttemptLimits =
    AttemptLimits { kept_max: 1_000_000, counted_every: 100_000, removed_max: 10_000 };

/// Runs until the stop signal. Any number of processes may do it at once.
pub(crate) async fn run(database: Database, latest: Latest, backlogs: Backlogs, stop: CancellationToken) {
    let mut tick = tokio::time::interval(EVERY);
    let mut counted = BTreeMap::new();
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        if let Err(error) = clean_up(&database, latest, &backlogs, &mut counted, &stop).await {
            tracing::warn!(
                error = chain(&error),
                "old attempts of webhooks were not removed, or times not corrected; this is tried again"
            );
        }
    }
}

async fn clean_up(
    database: &Database,
    latest: Latest,
    backlogs: &Backlogs,
    counted: &mut BTreeMap<i64, CountedAttempts>,
    stop: &CancellationToken,
) -> Result<(), DatabaseError> {
    let mut done = database.run(|connection| store::expire_secrets(connection).boxed()).await;
    let poll = database.run(|connection| {
        let backlogs = backlogs.clone();
        async move { store::poll(connection, &backlogs).await }.boxed()
    });
    let endpoints = poll.await?;
    counted.retain(|id, _| endpoints.iter().any(|polled| polled.id == *id));
    for polled in endpoints {
        if stop.is_cancelled() {
            break;
        }
        // What fails for one endpoint keeps nothing of the others from being done.
        done = done.and(correct_times(database, polled.id, latest).await);
        done = done.and(line_up(database, polled.id, backlogs).await);
        done = done.and(forget_all(database, polled.id, counted, stop).await);
    }
    done
}

async fn correct_times(database: &Database, endpoint: i64, latest: Latest) -> Result<(), DatabaseError> {
    let correct = database.run(move |connection| store::correct_times(connection, endpoint, latest).boxed());
    correct.await
}

async fn line_up(database: &Database, endpoint: i64, backlogs: &Backlogs) -> Result<(), DatabaseError> {
    let line_up = database.run(|connection| {
        let backlogs = backlogs.clone();
        async move { store::line_up(connection, endpoint, &backlogs).await }.boxed()
    });
    line_up.await
}

async fn forget_all(
    database: &Database,
    endpoint: i64,
    counted: &mut BTreeMap<i64, CountedAttempts>,
    stop: &CancellationToken,
) -> Result<(), DatabaseError> {
    while !stop.is_cancelled() && forget_attempts(database, endpoint, counted).await? > 0 {}
    Ok(())
}

async fn forget_attempts(
    database: &Database,
    endpoint: i64,
    counted: &mut BTreeMap<i64, CountedAttempts>,
) -> Result<usize, DatabaseError> {
    let before = counted.get(&endpoint).copied();
    let (removed, now) = database
        .run(move |connection| store::forget_attempts(connection, endpoint, ATTEMPTS, before).boxed())
        .await?;
    counted.extend(now.map(|now| (endpoint, now)));
    Ok(removed)
}
