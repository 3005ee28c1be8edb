//! The statements on `subscription_parked` that a subscription's worker uses.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;

use crate::batch::Batch;
use crate::outbox::{ClaimLimits, ClaimedEvent};
use crate::parked::{self, Columns, DeadLetter};

/// How soon an event is tried again whose row another session has locked.
const LOCKED_RETRY_IN: Duration = Duration::from_millis(500);
const LOCKED: &str = "another session has locked its row";

/// Parks the events of `batch` that were refused, and those whose rows are locked. The latter count no attempt.
pub(in crate::subscription) async fn park(
    connection: &mut AsyncPgConnection,
    subscription: &str,
    batch: &Batch,
) -> QueryResult<()> {
    RunQueryDsl::execute(ParkLogged::new(subscription, batch), connection).await.map(drop)
}

/// Whether a parked event is due. None is due later than `latest_due_in` from now on.
pub(super) async fn is_any_due(
    connection: &mut AsyncPgConnection,
    subscription: &str,
    latest_due_in: Duration,
) -> QueryResult<bool> {
    let latest_due_in_ms = as_millis(latest_due_in);
    RunQueryDsl::get_result(IsAnyDue { subscription: subscription.to_owned(), latest_due_in_ms }, connection)
        .await
}

/// Locks parked events that are due, up to `limits`, longest due first, and returns them by id.
pub(super) async fn claim_due(
    connection: &mut AsyncPgConnection,
    subscription: &str,
    limits: ClaimLimits,
    latest_due_in: Duration,
) -> QueryResult<Vec<ClaimedEvent>> {
    let claim = ClaimDue {
        subscription: subscription.to_owned(),
        max_events: limits.events,
        max_bytes: limits.bytes,
        latest_due_in_ms: as_millis(latest_due_in),
    };
    RunQueryDsl::load(claim, connection).await.map(parked::claimed)
}

/// Records what became of events that [`claim_due`] returned.
pub(super) async fn record(connection: &mut AsyncPgConnection, batch: &Batch) -> QueryResult<()> {
    if !batch.applied.is_empty() {
        remove(connection, batch.applied.iter().map(|event| event.id).collect()).await?;
    }
    if !batch.locked.is_empty() {
        let ids = batch.locked.iter().map(|decoded| decoded.claimed.id).collect();
        RunQueryDsl::execute(Postpone { ids }, connection).await?;
    }
    if !batch.parked.is_empty() {
        RunQueryDsl::execute(ParkLoggedAgain::new(&batch.parked), connection).await?;
    }
    Ok(())
}

/// Removes events that were applied.
pub(super) async fn remove(connection: &mut AsyncPgConnection, ids: Vec<i64>) -> QueryResult<()> {
    RunQueryDsl::execute(RemoveApplied { ids }, connection).await.map(drop)
}

statement! {
    struct IsAnyDue = "is_any_logged_due.sql" -> Bool {
        subscription: String as Text,
        latest_due_in_ms: i64 as BigInt,
    }
}

statement! {
    struct ClaimDue = "claim_logged_due.sql" -> parked::ClaimTypes {
        subscription: String as Text,
        max_events: i64 as BigInt,
        max_bytes: i64 as BigInt,
        latest_due_in_ms: i64 as BigInt,
    }
}

statement! {
    struct ParkLogged<'a> = "park_logged.sql" {
        subscription: &'a str as Text,
        position: Vec<i64> as Array<BigInt>,
        kind: Vec<&'a str> as Array<Text>,
        payload: Vec<&'a str> as Array<Text>,
        recorded_at: Vec<DateTime<Utc>> as Array<Timestamptz>,
        traceparent: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        attempts: Vec<i32> as Array<Integer>,
        error: Vec<&'a str> as Array<Text>,
        retry_in_ms: Vec<Option<i64>> as Array<Nullable<BigInt>>,
    }
}

impl<'a> ParkLogged<'a> {
    fn new(subscription: &'a str, batch: &'a Batch) -> Self {
        let mut columns = Columns::of(&batch.parked);
        for locked in &batch.locked {
            columns.push(&locked.claimed, 0, LOCKED, Some(LOCKED_RETRY_IN));
        }
        let Columns {
            id: position,
            kind,
            payload,
            created_at: recorded_at,
            traceparent,
            attempts,
            error,
            retry_in_ms,
        } = columns;
        Self { subscription, position, kind, payload, recorded_at, traceparent, attempts, error, retry_in_ms }
    }
}

statement! {
    struct ParkLoggedAgain<'a> = "park_logged_again.sql" {
        id: Vec<i64> as Array<BigInt>,
        attempts: Vec<i32> as Array<Integer>,
        error: Vec<&'a str> as Array<Text>,
        retry_in_ms: Vec<Option<i64>> as Array<Nullable<BigInt>>,
    }
}

impl<'a> ParkLoggedAgain<'a> {
    fn new(letters: &'a [DeadLetter]) -> Self {
        let Columns { id, attempts, error, retry_in_ms, .. } = Columns::of(letters);
        Self { id, attempts, error, retry_in_ms }
    }
}

fn as_millis(pause: Duration) -> i64 {
    i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)
}

statement! {
    struct RemoveApplied = "remove_logged.sql" {
        ids: Vec<i64> as Array<BigInt>,
    }
}

statement! {
    struct Postpone = "postpone_logged.sql" {
        ids: Vec<i64> as Array<BigInt>,
    }
}
