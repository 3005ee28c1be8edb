//! The read position of the next statement on a connection. [`crate::model::ResumePoint`]'s module explains why a
//! position of this kind misses no change.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use diesel::QueryResult;
use diesel::sql_types::{Array, BigInt, Nullable};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;

use crate::model::{History, ReadPosition, merged, width};

/// The maximum number of transactions whose state one statement looks up, to stay far below its timeout.
const MAX_LOOKED_UP: i64 = 200_000;

/// The maximum number of sessions to remember: more than there are connections at a time. Beyond it, all are forgotten.
const MAX_SESSIONS: usize = 16;

/// Determines read positions; on standbys with the help of earlier results.
#[derive(Default)]
pub(super) struct Positions {
    sessions: Mutex<HashMap<Session, StandbyTransactions>>,
}

/// A session on a standby. The server's replay never goes back during a session; after a crash every session is new.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Session {
    backend: i64,
    server_start: i64,
}

/// The transactions that are open on a standby, as far as known.
#[derive(Clone, Default)]
struct StandbyTransactions {
    lsn: i64,
    /// Includes every open transaction below `looked_up`.
    open: Vec<Range<i64>>,
    looked_up: i64,
}

impl Positions {
    /// The read position of the next statement on this connection. Every transaction seen at this position has ended,
    /// so the statement sees its writes.
    pub(super) async fn next(&self, connection: &mut AsyncPgConnection) -> QueryResult<ReadPosition> {
        let (oldest, open, next, system, timeline, backend, server_start, lsn): Row =
            RunQueryDsl::get_result(PositionQuery {}, connection).await?;
        let history = History { system, timeline };
        let (Some(backend), Some(server_start), Some(lsn)) = (backend, server_start, lsn) else {
            return Ok(ReadPosition::new(history, next, open.into_iter().map(|xid| xid..xid + 1).collect()));
        };
        let session = Session { backend, server_start };
        let mut transactions = self.known(session, lsn);
        transactions.forget_below(oldest);
        let mut is_complete = false;
        while !is_complete {
            is_complete = transactions.look_up(next, connection).await?;
            // Keep each part: if the rest exceeds the time limit, the next attempt continues from here.
            self.keep(session, transactions.clone());
        }
        Ok(ReadPosition::new(history, next, transactions.open))
    }

    fn known(&self, session: Session, lsn: i64) -> StandbyTransactions {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let known = sessions.get(&session).filter(|known| known.lsn <= lsn);
        StandbyTransactions { lsn, ..known.cloned().unwrap_or_default() }
    }

    fn keep(&self, session: Session, transactions: StandbyTransactions) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= MAX_SESSIONS && !sessions.contains_key(&session) {
            sessions.clear();
        }
        sessions.insert(session, transactions);
    }
}

impl StandbyTransactions {
    /// All transactions below `oldest` have ended.
    fn forget_below(&mut self, oldest: i64) {
        self.open.retain_mut(|range| {
            range.start = range.start.max(oldest);
            !range.is_empty()
        });
        self.looked_up = self.looked_up.max(oldest);
    }

    /// Looks up again the transactions that were open, and up to [`MAX_LOOKED_UP`] of those started since. Returns
    /// whether all below `next` have now been looked up.
    async fn look_up(&mut self, next: i64, connection: &mut AsyncPgConnection) -> QueryResult<bool> {
        let end = next.min(self.looked_up.saturating_add(MAX_LOOKED_UP));
        // Each subtransaction has an id of its own. If too many ids were open, they are not looked up again: they count
        // as open until the oldest transaction has ended.
        let known =
            if width(&self.open) <= MAX_LOOKED_UP { std::mem::take(&mut self.open) } else { Vec::new() };
        let started = self.looked_up..end;
        let (first, ends): (Vec<_>, Vec<_>) =
            known.iter().chain([&started]).map(|range| (range.start, range.end)).unzip();
        if first.iter().zip(&ends).all(|(first, end)| first >= end) {
            return Ok(true);
        }
        let open: Vec<i64> = RunQueryDsl::load(OpenTransactions { first, end: ends }, connection).await?;
        self.open.extend(open.into_iter().map(|xid| xid..xid + 1));
        self.open = merged(std::mem::take(&mut self.open));
        self.looked_up = self.looked_up.max(end);
        Ok(self.looked_up >= next)
    }
}

type Row = (i64, Vec<i64>, i64, i64, i64, Option<i64>, Option<i64>, Option<i64>);

statement! {
    struct PositionQuery = "position.sql" -> (
        BigInt,
        Array<BigInt>,
        BigInt,
        BigInt,
        BigInt,
        Nullable<BigInt>,
        Nullable<BigInt>,
        Nullable<BigInt>,
    ) {}
}

statement! {
    struct OpenTransactions = "open_transactions.sql" -> BigInt {
        first: Vec<i64> as Array<BigInt>,
        end: Vec<i64> as Array<BigInt>,
    }
}
