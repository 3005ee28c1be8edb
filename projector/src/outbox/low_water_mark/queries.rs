//! The queries that advance the low-water mark.

use std::ops::Range;

use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text};
use diesel::{QueryResult, Queryable};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;

/// The newest allocated id, and an xid that was assigned after reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable)]
pub struct Allocated {
    /// The newest allocated id; 0 before the first.
    pub newest: i64,
    /// The lowest id that this server allocates: each node of Citus has a range of its own.
    pub lowest: i64,
    /// Higher than the xid of every transaction that had allocated an id up to `newest`. Assigned only if `newest` is
    /// at least the low-water mark.
    pub xid: Option<i64>,
    /// The server run of this result.
    pub run: ServerRun,
}

/// Whether all transactions below an xid have ended, and what they left in a range of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable)]
pub struct Scan {
    /// They have ended, and this scan sees everything that they wrote.
    pub is_settled: bool,
    /// The lowest event in the range, including events that another worker has claimed and not committed.
    pub first: Option<i64>,
    /// The server run of this result.
    pub run: ServerRun,
}

/// The transactions that write to the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct OutboxWriters {
    /// Their virtual transaction ids, as in `pg_locks`.
    pub transactions: Vec<String>,
    /// The server run of this result.
    pub run: ServerRun,
}

/// One run of a server, from its start or last crash to its end. Allocated ids are comparable only within one run: a
/// standby that takes over, or a server that recovers from a crash, may lack ids that were not on its disk, and
/// allocates them again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Queryable)]
pub struct ServerRun {
    /// When the postmaster started, in microseconds since 1970. The postmaster survives a crash of the other processes.
    pub started: i64,
    /// When the statistics were last reset, in the same unit. Recovery from a crash resets them. An operator's reset
    /// has the same effect and does no harm.
    pub stats_reset: i64,
}

/// The newest allocated id, and an xid if that id is at least `low_water_mark`.
pub async fn allocated(connection: &mut AsyncPgConnection, low_water_mark: i64) -> QueryResult<Allocated> {
    RunQueryDsl::get_result(AllocatedQuery { low_water_mark }, connection).await
}

/// Scans `range` for events, if all transactions below `xid` have ended. One snapshot decides both.
pub async fn scan(connection: &mut AsyncPgConnection, range: Range<i64>, xid: i64) -> QueryResult<Scan> {
    let scan = ScanQuery { first_id: range.start, end_id: range.end, xid };
    RunQueryDsl::get_result(scan, connection).await
}

/// The transactions that may have allocated an id and have not ended.
pub async fn outbox_writers(connection: &mut AsyncPgConnection) -> QueryResult<OutboxWriters> {
    RunQueryDsl::get_result(OutboxWritersQuery {}, connection).await
}

statement! {
    struct AllocatedQuery = "allocated.sql" -> (BigInt, BigInt, Nullable<BigInt>, (BigInt, BigInt)) {
        low_water_mark: i64 as BigInt,
    }
}

statement! {
    struct ScanQuery = "scan_ids.sql" -> (Bool, Nullable<BigInt>, (BigInt, BigInt)) {
        first_id: i64 as BigInt,
        end_id: i64 as BigInt,
        xid: i64 as BigInt,
    }
}

statement! {
    struct OutboxWritersQuery = "outbox_writers.sql" -> (Array<Text>, (BigInt, BigInt)) {}
}
