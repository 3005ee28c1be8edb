//! How the outbox is doing.

use diesel::sql_types::{BigInt, Double, Nullable};
use diesel::{QueryResult, QueryableByName};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

/// Up to this many waiting events are counted. Beyond it the range of their ids is taken for their number, which it
/// exceeds only where ids were drawn and never committed, or an old event is still held by somebody.
pub const COUNTED: i64 = 100_000;

/// How the outbox and the parked events are doing, at one moment.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct Observation {
    /// Events in the outbox, counted up to [`COUNTED`], and those that wait for the end of a lock.
    #[diesel(sql_type = BigInt)]
    pub backlog: i64,
    /// Age of the event that waits first, in seconds; 0 where none waits.
    #[diesel(sql_type = Double)]
    pub oldest_seconds: f64,
    /// Events that wait for the end of a lock, counted up to [`COUNTED`].
    #[diesel(sql_type = BigInt)]
    pub waiting: i64,
    /// Parked events that are tried again by themselves.
    #[diesel(sql_type = BigInt)]
    pub parked_retrying: i64,
    /// Parked events that wait for an operator.
    #[diesel(sql_type = BigInt)]
    pub parked_for_good: i64,
    /// Deleted events that vacuum has not removed yet, as far as PostgreSQL's statistics know.
    #[diesel(sql_type = BigInt)]
    pub dead_rows: i64,
    /// Age of the oldest transaction that keeps them from being removed, in seconds; nothing where the role that migrated
    /// may not see it.
    #[diesel(sql_type = Nullable<Double>)]
    pub oldest_transaction_seconds: Option<f64>,
}

const OBSERVE: &str = "
SELECT CASE WHEN counted < $2 THEN counted ELSE greatest(counted, newest - oldest + 1) END + waiting AS backlog,
       greatest(oldest_seconds, oldest_waiting_seconds, 0) AS oldest_seconds, waiting, parked_retrying, parked_for_good,
       coalesce(dead_rows, 0) AS dead_rows, oldest_transaction_seconds() AS oldest_transaction_seconds
FROM (SELECT count(*) AS counted FROM (SELECT FROM outbox WHERE id >= $1 LIMIT $2) AS waiting) AS count
LEFT JOIN (SELECT id AS oldest, greatest(0, extract(epoch FROM clock_timestamp()) - extract(epoch FROM created_at))::float8
               AS oldest_seconds
           FROM outbox WHERE id >= $1 ORDER BY id LIMIT 1) AS first ON true
LEFT JOIN (SELECT id AS newest FROM outbox WHERE id >= $1 ORDER BY id DESC LIMIT 1) AS last ON true
CROSS JOIN (SELECT count(*) AS waiting FROM (SELECT FROM waiting_events LIMIT $2) AS locked) AS locked
LEFT JOIN (SELECT greatest(0, extract(epoch FROM clock_timestamp()) - extract(epoch FROM created_at))::float8
               AS oldest_waiting_seconds
           FROM waiting_events ORDER BY id LIMIT 1) AS first_waiting ON true
CROSS JOIN (SELECT count(next_attempt_at) AS parked_retrying, count(*) - count(next_attempt_at) AS parked_for_good
            FROM parked_events) AS parked
LEFT JOIN (SELECT n_dead_tup AS dead_rows FROM pg_stat_user_tables WHERE relid = 'outbox'::regclass) AS stat ON true";

/// Looks at everything once. `from` is the lowest id at which an event can be.
///
/// # Errors
///
/// The database's.
pub async fn observe(connection: &mut AsyncPgConnection, from: i64) -> QueryResult<Observation> {
    let observe = diesel::sql_query(OBSERVE).bind::<BigInt, _>(from).bind::<BigInt, _>(COUNTED);
    RunQueryDsl::get_result(observe, connection).await
}
