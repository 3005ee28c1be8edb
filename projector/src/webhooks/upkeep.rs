//! Removes what is kept for a time only: attempts and previous secrets. Corrects times that were stored while the clock
//! was ahead.

use std::time::Duration;

use futures_util::FutureExt;
use service_kit::database::{Database, DatabaseError};
use service_kit::telemetry::chain;
use tokio_util::sync::CancellationToken;

use super::store;

/// How often.
const EVERY: Duration = Duration::from_mins(1);
/// Most attempts of an endpoint that are kept: about 100 MB.
const ATTEMPTS_MAX: i64 = 1_000_000;
/// Most attempts that one statement removes.
const REMOVED_MAX: i64 = 10_000;

/// No time that was stored while the clock was right is later than these from now on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Latest {
    /// The ends of pauses.
    pub(crate) due_in: Duration,
    /// The ends of leases.
    pub(crate) lease_ends_in: Duration,
}

/// Runs until the stop signal. Any number of processes may do it at once.
pub(crate) async fn run(database: Database, latest: Latest, stop: CancellationToken) {
    let mut tick = tokio::time::interval(EVERY);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        if let Err(error) = clean_up(&database, latest, &stop).await {
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
    stop: &CancellationToken,
) -> Result<(), DatabaseError> {
    database.run(|connection| store::expire_secrets(connection).boxed()).await?;
    for polled in database.run(|connection| store::poll(connection).boxed()).await? {
        database
            .run(move |connection| {
                store::correct_times(connection, polled.id, latest.due_in, latest.lease_ends_in).boxed()
            })
            .await?;
        while !stop.is_cancelled() && forget_attempts(database, polled.id).await? > 0 {}
    }
    Ok(())
}

async fn forget_attempts(database: &Database, endpoint: i64) -> Result<usize, DatabaseError> {
    database
        .run(move |connection| {
            store::forget_attempts(connection, endpoint, ATTEMPTS_MAX, REMOVED_MAX).boxed()
        })
        .await
}
