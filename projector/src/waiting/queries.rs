//! The statements on `waiting_events`.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::sql_types::{self, Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;
use service_kit::stored_time::StoredTime;
use uuid::Uuid;

use crate::outbox::{ClaimLimits, ClaimedEvent, Origin};

/// An event to set aside.
#[derive(Debug)]
pub struct NewWaitingEvent<'a> {
    /// The event, claimed from the outbox by this transaction.
    pub event: &'a ClaimedEvent,
    /// Its order.
    pub order_id: Uuid,
    /// The order's version after it.
    pub version: i32,
}

/// Some of the waiting events. A claim tries the lock of each event, so its cost is limited by the size of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Their ids are above this one,
    pub after: i64,
    /// and up to this one.
    pub up_to: i64,
    /// How many they are.
    pub events: i64,
    /// The highest id of all waiting events.
    pub newest: i64,
}

/// Sets aside events that were claimed from the outbox. An event whose id is taken, for example because ids were
/// allocated again after a restore, gets a negative id.
pub async fn set_aside(
    connection: &mut AsyncPgConnection,
    events: &[NewWaitingEvent<'_>],
) -> QueryResult<()> {
    RunQueryDsl::execute(SetAsideStatement::new(events), connection).await.map(drop)
}

/// The next `size` events with ids above `after`, or fewer if no more are left; none if there are none.
pub async fn window(
    connection: &mut AsyncPgConnection,
    after: i64,
    size: i64,
) -> QueryResult<Option<Window>> {
    let found: (Option<i64>, i64, Option<i64>) =
        RunQueryDsl::get_result(FindWindow { after, size }, connection).await?;
    let (up_to, events, newest) = found;
    Ok(up_to.map(|up_to| Window { after, up_to, events, newest: newest.unwrap_or(up_to) }))
}

/// Locks events of `window`, up to `limits`, whose rows no other session has locked, and these rows with them; by id.
/// Call [`remove`] with the events that no longer wait.
pub async fn claim_unlocked(
    connection: &mut AsyncPgConnection,
    window: Window,
    limits: ClaimLimits,
) -> QueryResult<Vec<ClaimedEvent>> {
    let claim = ClaimUnlocked {
        after: window.after,
        up_to: window.up_to,
        max_events: limits.events,
        max_bytes: limits.bytes,
    };
    Ok(claimed(RunQueryDsl::load(claim, connection).await?))
}

/// Locks events of `window`, up to `limits`, whose orders have no visible row, by id. Another session may have inserted
/// the row and not committed it.
pub async fn claim_without_row(
    connection: &mut AsyncPgConnection,
    window: Window,
    limits: ClaimLimits,
) -> QueryResult<Vec<ClaimedEvent>> {
    let claim = ClaimWithoutRow {
        after: window.after,
        up_to: window.up_to,
        max_events: limits.events,
        max_bytes: limits.bytes,
    };
    Ok(claimed(RunQueryDsl::load(claim, connection).await?))
}

/// Removes events that no longer wait.
pub async fn remove(connection: &mut AsyncPgConnection, ids: &[i64]) -> QueryResult<()> {
    RunQueryDsl::execute(RemoveWaiting { ids: ids.to_vec() }, connection).await.map(drop)
}

/// Whether any event waits.
pub async fn is_any(connection: &mut AsyncPgConnection) -> QueryResult<bool> {
    RunQueryDsl::get_result(IsAnyWaiting {}, connection).await
}

/// Every value of every column can be read: one that cannot would fail the whole claim.
type Row = (i64, String, String, StoredTime, StoredTime, Option<String>);

fn claimed(rows: Vec<Row>) -> Vec<ClaimedEvent> {
    let event = |(id, kind, payload, created_at, claimed_at, traceparent): Row| {
        let created_at = created_at.clamped();
        let age = (claimed_at.clamped() - created_at).to_std().unwrap_or_default();
        ClaimedEvent { id, kind, payload, created_at, traceparent, origin: Origin::Waiting { age } }
    };
    rows.into_iter().map(event).collect()
}

statement! {
    /// One array a column, so that the text is the same for any number of events and stays prepared.
    #[derive(Default)]
    struct SetAsideStatement<'a> = "set_aside.sql" {
        id: Vec<i64> as Array<BigInt>,
        order_id: Vec<Uuid> as Array<sql_types::Uuid>,
        version: Vec<i32> as Array<Integer>,
        kind: Vec<&'a str> as Array<Text>,
        payload: Vec<&'a str> as Array<Text>,
        created_at: Vec<DateTime<Utc>> as Array<Timestamptz>,
        traceparent: Vec<Option<&'a str>> as Array<Nullable<Text>>,
    }
}

impl<'a> SetAsideStatement<'a> {
    fn new(events: &[NewWaitingEvent<'a>]) -> Self {
        let mut rows = Self::default();
        for NewWaitingEvent { event, order_id, version } in events {
            rows.id.push(event.id);
            rows.order_id.push(*order_id);
            rows.version.push(*version);
            rows.kind.push(&event.kind);
            rows.payload.push(&event.payload);
            rows.created_at.push(event.created_at);
            rows.traceparent.push(event.traceparent.as_deref());
        }
        rows
    }
}

statement! {
    struct FindWindow = "waiting_window.sql" -> (Nullable<BigInt>, BigInt, Nullable<BigInt>) {
        after: i64 as BigInt,
        size: i64 as BigInt,
    }
}

statement! {
    struct ClaimUnlocked = "claim_unlocked.sql" -> (BigInt, Text, Text, Timestamptz, Timestamptz, Nullable<Text>) {
        after: i64 as BigInt,
        up_to: i64 as BigInt,
        max_events: i64 as BigInt,
        max_bytes: i64 as BigInt,
    }
}

statement! {
    struct ClaimWithoutRow = "claim_without_row.sql" -> (BigInt, Text, Text, Timestamptz, Timestamptz, Nullable<Text>) {
        after: i64 as BigInt,
        up_to: i64 as BigInt,
        max_events: i64 as BigInt,
        max_bytes: i64 as BigInt,
    }
}

statement! {
    struct RemoveWaiting = "remove_waiting.sql" {
        ids: Vec<i64> as Array<BigInt>,
    }
}

statement! {
    struct IsAnyWaiting = "is_any_waiting.sql" -> Bool {}
}
