//! Claiming events from the outbox.

use diesel::QueryResult;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;
use service_kit::stored_time::StoredTime;

use super::claimed_event::{ClaimLimits, ClaimedEvent, Origin};

/// Deletes the oldest events with ids of `low_water_mark` or higher from the outbox, up to `limits`, and returns them
/// by id.
///
/// The rows stay locked until the transaction ends. Rows that another transaction has claimed are skipped, not waited
/// for. A rollback leaves the events in the outbox.
pub async fn claim(
    connection: &mut AsyncPgConnection,
    low_water_mark: i64,
    limits: ClaimLimits,
) -> QueryResult<Vec<ClaimedEvent>> {
    let claim = ClaimEvents {
        max_bytes: limits.bytes,
        max_bytes_of_part: limits.bytes,
        low_water_mark,
        max_events: limits.events,
    };
    let rows: Vec<Row> = RunQueryDsl::load(claim, connection).await?;
    let mut claimed: Vec<_> = rows
        .into_iter()
        .map(|(id, kind, payload, created_at, claimed_at, traceparent)| {
            let created_at = created_at.clamped();
            let age = (claimed_at.clamped() - created_at).to_std().unwrap_or_default();
            ClaimedEvent { id, kind, payload, created_at, traceparent, origin: Origin::Outbox { age } }
        })
        .collect();
    // RETURNING guarantees no order.
    claimed.sort_unstable_by_key(|event| event.id);
    Ok(claimed)
}

/// Every value of every column can be read: one that cannot would fail the whole claim.
type Row = (i64, String, String, StoredTime, StoredTime, Option<String>);

statement! {
    struct ClaimEvents = "claim_events.sql" -> (BigInt, Text, Text, Timestamptz, Timestamptz, Nullable<Text>) {
        max_bytes: i64 as BigInt,
        max_bytes_of_part: i64 as BigInt,
        low_water_mark: i64 as BigInt,
        max_events: i64 as BigInt,
    }
}
