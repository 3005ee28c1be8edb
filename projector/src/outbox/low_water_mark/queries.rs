//! What PostgreSQL knows about ids and the transactions that own them.

use std::ops::Range;

use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text};
use diesel::{QueryResult, Queryable};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

/// How far ids have been drawn, and a transaction that began to count after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable)]
pub struct Drawn {
    /// The newest id that anybody has drawn; 0 before the first.
    pub newest: i64,
    /// A transaction id. Every transaction that had drawn an id up to `newest` got its own id earlier, and so a lower one. It
    /// is only assigned where `newest` is at least what was asked for.
    pub mark: Option<i64>,
    /// The run of the server that answered.
    pub run: ServerRun,
}

/// Whether all transactions before a mark have ended, and what they left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable)]
pub struct Look {
    /// They have, and this look sees everything that they wrote.
    pub settled: bool,
    /// The lowest id in the range that is there. Events that another worker has claimed but not committed are there.
    pub first: Option<i64>,
    /// The run of the server that answered.
    pub run: ServerRun,
}

/// The transactions that write to the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct Writing {
    /// Their virtual transaction ids, as `pg_locks` shows them.
    pub transactions: Vec<String>,
    /// The run of the server that answered.
    pub run: ServerRun,
}

/// One run of a server, from its start or its last crash to its end. What is known of ids holds within one run: a standby that
/// takes over may lack ids that were drawn, and so does a server that recovered from a crash, unless they were on disk. Both
/// give them out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Queryable)]
pub struct ServerRun {
    /// When the postmaster was started, in microseconds since 1970. It survives a crash of the other processes.
    pub started: i64,
    /// Since when the server has counted its statistics, likewise. PostgreSQL begins anew when it recovers from a crash. An
    /// operator may reset them too, which does no harm here.
    pub counting_since: i64,
}

/// How far ids have been drawn. A mark is made only if that is `from` or further.
///
/// # Errors
///
/// The database's.
pub async fn drawn(connection: &mut AsyncPgConnection, from: i64) -> QueryResult<Drawn> {
    RunQueryDsl::get_result(DrawnQuery { from }, connection).await
}

/// Looks for events with ids in `range`, once all transactions before `mark` have ended. Both are judged by one snapshot.
///
/// # Errors
///
/// The database's.
pub async fn look(connection: &mut AsyncPgConnection, range: Range<i64>, mark: i64) -> QueryResult<Look> {
    RunQueryDsl::get_result(LookQuery { range, mark }, connection).await
}

/// The transactions that can have drawn an id and have not ended. An INSERT locks the table before it draws an id, and `nextval` locks
/// the sequence; both locks are held until the transaction has ended and all can see what it wrote.
///
/// # Errors
///
/// The database's.
pub async fn writing(connection: &mut AsyncPgConnection) -> QueryResult<Writing> {
    RunQueryDsl::get_result(WritingQuery, connection).await
}

/// A [`ServerRun`].
const RUN: &str = "(extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint, \
     coalesce((SELECT (extract(epoch FROM stats_reset) * 1000000)::bigint FROM pg_stat_archiver), 0)";

#[derive(QueryId)]
struct DrawnQuery {
    from: i64,
}

impl Query for DrawnQuery {
    type SqlType = (BigInt, Nullable<BigInt>, (BigInt, BigInt));
}

impl QueryFragment<Pg> for DrawnQuery {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // The sequence is read first, then the mark is assigned: that order is what makes the mark one.
        out.push_sql(
            "WITH drawn AS MATERIALIZED \
             (SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END AS newest FROM outbox_id_seq) \
             SELECT newest, CASE WHEN newest >= ",
        );
        out.push_bind_param::<BigInt, _>(&self.from)?;
        out.push_sql(" THEN pg_current_xact_id()::text::bigint END, ");
        out.push_sql(RUN);
        out.push_sql(" FROM drawn");
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for DrawnQuery {}

#[derive(QueryId)]
struct LookQuery {
    range: Range<i64>,
    mark: i64,
}

impl Query for LookQuery {
    type SqlType = (Bool, Nullable<BigInt>, (BigInt, BigInt));
}

impl QueryFragment<Pg> for LookQuery {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // Nothing is looked for as long as nothing is settled.
        out.push_sql("SELECT settled, CASE WHEN settled THEN (SELECT id FROM outbox WHERE id >= ");
        out.push_bind_param::<BigInt, _>(&self.range.start)?;
        out.push_sql(" AND id < ");
        out.push_bind_param::<BigInt, _>(&self.range.end)?;
        out.push_sql(" ORDER BY id LIMIT 1) END, ");
        out.push_sql(RUN);
        out.push_sql(" FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint >= ");
        out.push_bind_param::<BigInt, _>(&self.mark)?;
        out.push_sql(" AS settled) AS snapshot");
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for LookQuery {}

#[derive(QueryId)]
struct WritingQuery;

impl Query for WritingQuery {
    type SqlType = (Array<Text>, (BigInt, BigInt));
}

impl QueryFragment<Pg> for WritingQuery {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "SELECT ARRAY(SELECT DISTINCT virtualtransaction FROM pg_locks \
             WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
             AND relation IN ('outbox'::regclass, 'outbox_id_seq'::regclass)), ",
        );
        out.push_sql(RUN);
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for WritingQuery {}
