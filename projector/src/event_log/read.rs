//! One read of the log after a position.

use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};
use diesel::{QueryResult, Queryable};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;
use service_kit::stored_time::StoredTime;

use super::hole::{Settled, cut_at_hole};

/// An event of the log, as it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoggedEvent {
    /// Its position: nearly always its outbox id.
    pub position: i64,
    /// The name of its kind.
    pub kind: String,
    /// Its payload, as JSON text.
    pub payload: String,
    /// The W3C trace context of the request that wrote it.
    pub traceparent: Option<String>,
    /// When the transaction began that took it out of the outbox, within the years 1 to 9999.
    pub recorded_at: DateTime<Utc>,
}

/// How much one read returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Most events.
    pub events: i64,
    /// Most bytes of payload. The first event is read even if it is larger.
    pub bytes: i64,
}

/// What one read found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRead {
    /// The next events, in order, without a gap.
    pub events: Vec<LoggedEvent>,
    /// The first missing position, if events behind it wait for it: see [the module](super).
    pub hole: Option<i64>,
    /// There may be more: the read ended at a limit.
    pub is_more: bool,
    /// Up to this position, events may be missing. A reader that is not this far has lost events.
    pub missing_up_to: i64,
    /// The history in which the newest event was logged.
    pub history: i64,
}

impl LogRead {
    /// Whether a reader that stands `after` this position has lost events.
    #[must_use]
    pub fn has_lost(&self, after: i64) -> bool {
        after < self.missing_up_to
    }
}

/// Reads the events `after` a position, up to `limits`.
///
/// # Errors
///
/// The database's.
pub async fn read(
    connection: &mut AsyncPgConnection,
    after: i64,
    limits: ReadLimits,
) -> QueryResult<LogRead> {
    let query = ReadLog { after, max_events: limits.events, max_bytes: limits.bytes, outbox_after: after };
    let rows: Vec<Row> = RunQueryDsl::load(query, connection).await?;
    let Some(&(Log { missing_up_to, history, settled_below, first_in_outbox, found }, _)) =
        rows.as_slice().first()
    else {
        return Err(diesel::result::Error::NotFound);
    };
    let mut events: Vec<_> = rows.into_iter().filter_map(|(_, event)| event.map(logged)).collect();
    // A join guarantees no order.
    events.sort_by_key(|event| event.position);
    let is_limited = found >= limits.events || usize::try_from(found).is_ok_and(|found| found > events.len());
    let settled = Settled { below: settled_below, first_in_outbox };
    let hole = cut_at_hole(after, &mut events, settled);
    Ok(LogRead { events, hole, is_more: is_limited && hole.is_none(), missing_up_to, history })
}

/// What each row says about the log.
#[derive(Debug, Clone, Copy, Queryable)]
struct Log {
    missing_up_to: i64,
    history: i64,
    settled_below: i64,
    first_in_outbox: Option<i64>,
    /// The events found, before the limit of bytes.
    found: i64,
}

type LogTypes = (BigInt, BigInt, BigInt, Nullable<BigInt>, BigInt);
type Row = (Log, Option<Event>);

/// Every value of every column can be read: one that cannot would fail the whole read.
type Event = (i64, String, String, Option<String>, StoredTime);
type EventTypes = Nullable<(BigInt, Text, Text, Nullable<Text>, Timestamptz)>;

fn logged((position, kind, payload, traceparent, recorded_at): Event) -> LoggedEvent {
    LoggedEvent { position, kind, payload, traceparent, recorded_at: recorded_at.clamped() }
}

statement! {
    struct ReadLog = "read_log.sql" -> (LogTypes, EventTypes) {
        after: i64 as BigInt,
        max_events: i64 as BigInt,
        max_bytes: i64 as BigInt,
        outbox_after: i64 as BigInt,
    }
}
