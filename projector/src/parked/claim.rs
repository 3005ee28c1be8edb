//! Claiming parked events that are due.

use std::time::Duration;

use diesel::QueryResult;
use diesel::sql_types::{BigInt, Integer, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;
use service_kit::stored_time::StoredTime;

use crate::outbox::{ClaimLimits, ClaimedEvent, Origin};

/// Locks parked events that are due, up to `limits`, longest due first, and returns them by id. Events that another
/// transaction has locked are skipped. None is due later than `latest_due_in` from now on.
pub async fn claim(
    connection: &mut AsyncPgConnection,
    limits: ClaimLimits,
    latest_due_in: Duration,
) -> QueryResult<Vec<ClaimedEvent>> {
    let claim = ClaimParked {
        max_events: limits.events,
        max_bytes: limits.bytes,
        latest_due_in_ms: i64::try_from(latest_due_in.as_millis()).unwrap_or(i64::MAX),
    };
    RunQueryDsl::load(claim, connection).await.map(claimed)
}

/// Every value of every column can be read: one that cannot would fail the whole claim.
pub(crate) type Row = (i64, String, String, StoredTime, i32, Option<String>);
pub(crate) type ClaimTypes = (BigInt, Text, Text, Timestamptz, Integer, Nullable<Text>);

/// Claimed events, by id.
pub(crate) fn claimed(rows: Vec<Row>) -> Vec<ClaimedEvent> {
    let mut claimed: Vec<_> = rows
        .into_iter()
        .map(|(id, kind, payload, created_at, attempts, traceparent)| ClaimedEvent {
            id,
            kind,
            payload,
            created_at: created_at.clamped(),
            traceparent,
            origin: Origin::Parked { attempts },
        })
        .collect();
    claimed.sort_unstable_by_key(|event| event.id);
    claimed
}

statement! {
    struct ClaimParked = "claim_parked.sql" -> ClaimTypes {
        max_events: i64 as BigInt,
        max_bytes: i64 as BigInt,
        latest_due_in_ms: i64 as BigInt,
    }
}
