//! Events in the hands of a transaction.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::AstPass;
use diesel::sql_types::BigInt;

/// How much one claim takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimLimits {
    /// Most events.
    pub events: i64,
    /// Most bytes of payload. The first event is claimed even if it is larger.
    pub bytes: i64,
}

/// `columns` of the rows of `measured`, which have `bytes`, that fit into `bytes` together; at least the first. The other rows stay
/// locked until the transaction ends, so a caller that knows how large events are asks for few more than fit.
pub(crate) fn push_those_that_fit<'b>(
    out: &mut AstPass<'_, 'b, Pg>,
    columns: &str,
    measured: impl FnOnce(&mut AstPass<'_, 'b, Pg>) -> QueryResult<()>,
    bytes: &'b i64,
) -> QueryResult<()> {
    out.push_sql("SELECT ");
    out.push_sql(columns);
    out.push_sql(" FROM (SELECT *, sum(bytes) OVER (ROWS UNBOUNDED PRECEDING) AS bytes_so_far FROM (");
    measured(out)?;
    out.push_sql(") AS measured) AS sized WHERE bytes_so_far <= ");
    out.push_bind_param::<BigInt, _>(bytes)?;
    out.push_sql(" OR bytes_so_far = bytes");
    Ok(())
}

/// `columns` of the rows of `locked`, which lock what they have, and their `bytes`. Payloads are measured out here: in `locked` those
/// of the rows that other transactions hold would be, too. `OFFSET 0` keeps them from being measured once for each use of `bytes`.
pub(crate) fn push_measured<'b>(
    out: &mut AstPass<'_, 'b, Pg>,
    columns: &str,
    locked: impl FnOnce(&mut AstPass<'_, 'b, Pg>) -> QueryResult<()>,
) -> QueryResult<()> {
    out.push_sql("SELECT ");
    out.push_sql(columns);
    out.push_sql(", octet_length(payload::text) AS bytes FROM (");
    locked(out)?;
    out.push_sql(") AS locked OFFSET 0");
    Ok(())
}

/// An event that this transaction has taken out of the outbox, or locked among the parked ones. It is there as before if the
/// transaction is rolled back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedEvent {
    /// Its id in the outbox.
    pub id: i64,
    /// Name of its kind.
    pub kind: String,
    /// Its payload, as JSON text.
    pub payload: String,
    /// When the transaction that wrote it began, within the years 1 to 9999.
    pub created_at: DateTime<Utc>,
    /// Where it was.
    pub origin: Origin,
}

/// Where a claimed event was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// In the outbox.
    Outbox {
        /// How old it was when it was claimed, by the database's clock.
        age: Duration,
    },
    /// Among the events that wait for the end of a lock.
    Waiting {
        /// How old it was when it was claimed, by the database's clock.
        age: Duration,
    },
    /// Among the parked events.
    Parked {
        /// How often it has been tried.
        attempts: i32,
    },
}
