//! Events of a listener that an operator has skipped, and wants to be handled after all.

use std::time::Duration;

use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz};
use diesel::{OptionalExtension, QueryResult};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;
use service_kit::stored_time::StoredTime;

use super::queries;
use crate::event_log::LoggedEvent;
use crate::subscription::{due, store};

/// A parked event that this transaction has locked.
pub(in crate::subscription) struct SkippedEvent {
    pub(in crate::subscription) id: i64,
    pub(in crate::subscription) event: LoggedEvent,
}

/// Locks the next parked event that is due, and the subscription; none if the subscription is not running and due.
pub(in crate::subscription) async fn claim_skipped(
    connection: &mut AsyncPgConnection,
    subscription: &str,
) -> QueryResult<Option<SkippedEvent>> {
    // Nothing else sets a time for events of a listener.
    if !queries::is_any_due(connection, subscription, Duration::ZERO).await?
        || store::lock_one(connection, subscription).await?.is_none()
    {
        return Ok(None);
    }
    let row: Option<Row> =
        RunQueryDsl::get_result(ClaimSkipped { subscription }, connection).await.optional()?;
    Ok(row.map(|(id, position, kind, payload, recorded_at, traceparent)| SkippedEvent {
        id,
        event: LoggedEvent { position, kind, payload, traceparent, recorded_at: recorded_at.clamped() },
    }))
}

/// Those of these subscriptions that have a parked event which an operator has made due.
///
/// # Errors
///
/// The database's.
pub async fn skipped_due(
    connection: &mut AsyncPgConnection,
    subscriptions: Vec<&str>,
) -> QueryResult<Vec<String>> {
    RunQueryDsl::load(SkippedDue { subscriptions }, connection).await
}

/// The event was handled.
pub(in crate::subscription) async fn remove(connection: &mut AsyncPgConnection, id: i64) -> QueryResult<()> {
    queries::remove(connection, vec![id]).await
}

/// The event failed again, for this reason. It is left for an operator.
pub(in crate::subscription) async fn leave_for_operator(
    connection: &mut AsyncPgConnection,
    id: i64,
    reason: &str,
) -> QueryResult<()> {
    let reason = due::storable(reason);
    RunQueryDsl::execute(LeaveForOperator { reason, id }, connection).await.map(drop)
}

type Row = (i64, i64, String, String, StoredTime, Option<String>);

statement! {
    struct ClaimSkipped<'a> = "claim_skipped.sql" -> (
        BigInt, BigInt, Text, Text, Timestamptz, Nullable<Text>,
    ) {
        subscription: &'a str as Text,
    }
}

statement! {
    struct SkippedDue<'a> = "skipped_due.sql" -> Text {
        subscriptions: Vec<&'a str> as Array<Text>,
    }
}

statement! {
    struct LeaveForOperator = "leave_for_operator.sql" {
        reason: String as Text,
        id: i64 as BigInt,
    }
}
