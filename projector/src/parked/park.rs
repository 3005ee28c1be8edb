//! Parking events, and recording further attempts.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;

use super::columns::Columns;
use super::dead_letter::DeadLetter;

/// Parks events that were claimed from the outbox or among the waiting events. An event whose id is taken, for example
/// because ids were allocated again after a restore, gets a negative id.
pub(crate) async fn park(connection: &mut AsyncPgConnection, events: &[DeadLetter]) -> QueryResult<()> {
    RunQueryDsl::execute(Park::new(events), connection).await.map(drop)
}

/// Records that parked events failed again. The rows stay, so an operator's command finds them at any moment.
pub(crate) async fn park_again(connection: &mut AsyncPgConnection, events: &[DeadLetter]) -> QueryResult<()> {
    RunQueryDsl::execute(ParkAgain::new(events), connection).await.map(drop)
}

/// Removes parked events that were applied.
pub(crate) async fn remove(connection: &mut AsyncPgConnection, ids: &[i64]) -> QueryResult<()> {
    RunQueryDsl::execute(RemoveParked { ids: ids.to_vec() }, connection).await.map(drop)
}

/// Makes parked events due again in a moment. Their rows are locked, which is not a failed attempt.
pub(crate) async fn postpone(connection: &mut AsyncPgConnection, ids: &[i64]) -> QueryResult<()> {
    RunQueryDsl::execute(PostponeParked { ids: ids.to_vec() }, connection).await.map(drop)
}

statement! {
    struct Park<'a> = "park.sql" {
        id: Vec<i64> as Array<BigInt>,
        attempts: Vec<i32> as Array<Integer>,
        error: Vec<&'a str> as Array<Text>,
        retry_in_ms: Vec<Option<i64>> as Array<Nullable<BigInt>>,
        kind: Vec<&'a str> as Array<Text>,
        payload: Vec<&'a str> as Array<Text>,
        created_at: Vec<DateTime<Utc>> as Array<Timestamptz>,
        traceparent: Vec<Option<&'a str>> as Array<Nullable<Text>>,
    }
}

impl<'a> Park<'a> {
    fn new(events: &'a [DeadLetter]) -> Self {
        let Columns { id, kind, payload, created_at, traceparent, attempts, error, retry_in_ms } =
            Columns::of(events);
        Self { id, attempts, error, retry_in_ms, kind, payload, created_at, traceparent }
    }
}

statement! {
    struct ParkAgain<'a> = "park_again.sql" {
        id: Vec<i64> as Array<BigInt>,
        attempts: Vec<i32> as Array<Integer>,
        error: Vec<&'a str> as Array<Text>,
        retry_in_ms: Vec<Option<i64>> as Array<Nullable<BigInt>>,
    }
}

impl<'a> ParkAgain<'a> {
    fn new(events: &'a [DeadLetter]) -> Self {
        let Columns { id, attempts, error, retry_in_ms, .. } = Columns::of(events);
        Self { id, attempts, error, retry_in_ms }
    }
}

statement! {
    struct RemoveParked = "remove_parked.sql" {
        ids: Vec<i64> as Array<BigInt>,
    }
}

statement! {
    struct PostponeParked = "postpone_parked.sql" {
        ids: Vec<i64> as Array<BigInt>,
    }
}
