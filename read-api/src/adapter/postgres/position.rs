//! How far a statement that is run next on a connection will have read, and of which history; why that is enough stands in
//! the module of [`ReadPosition`].

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use diesel::QueryResult;
use diesel::sql_types::{Array, BigInt, Nullable};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;

use crate::model::{History, ReadPosition, merged, width};

/// The most transactions whose state is asked for in one statement, which takes about a tenth of a second.
const MAX_ASKED: i64 = 200_000;

/// More sessions on standbys than there are connections at a time. Of those beyond, what is known is forgotten.
const MAX_SESSIONS: usize = 16;

/// Tells positions; on standbys with the help of what it has found out before.
#[derive(Default)]
pub(super) struct Positions {
    standbys: Mutex<HashMap<Session, Replayed>>,
}

/// A session on a standby. The server's replay does not go back during a session; after a crash all sessions are new.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Session {
    backend: i64,
    server_start: i64,
}

/// Which transactions are open on a standby.
#[derive(Clone, Default)]
struct Replayed {
    lsn: i64,
    /// Among the transactions below `asked`, these were open at most.
    open: Vec<Range<i64>>,
    asked: i64,
}

impl Positions {
    /// How far a statement that is run next on this connection will have read. Transactions that are not unseen at the position
    /// have ended by then, so that what they wrote is visible to it.
    pub(super) async fn next(&self, connection: &mut AsyncPgConnection) -> QueryResult<ReadPosition> {
        let (oldest, open, next, system, timeline, backend, server_start, lsn): Row =
            RunQueryDsl::get_result(PositionQuery {}, connection).await?;
        let history = History { system, timeline };
        let (Some(backend), Some(server_start), Some(lsn)) = (backend, server_start, lsn) else {
            return Ok(ReadPosition::new(history, next, open.into_iter().map(|xid| xid..xid + 1).collect()));
        };
        let session = Session { backend, server_start };
        let mut replayed = self.known(session, lsn);
        replayed.forget_below(oldest);
        let mut is_complete = false;
        while !is_complete {
            is_complete = replayed.ask_about(next, connection).await?;
            // Kept at once: where all of it takes longer than a statement may, the next attempt goes on from here.
            self.keep(session, replayed.clone());
        }
        Ok(ReadPosition::new(history, next, replayed.open))
    }

    fn known(&self, session: Session, lsn: i64) -> Replayed {
        let standbys = self.standbys.lock().unwrap_or_else(PoisonError::into_inner);
        let known = standbys.get(&session).filter(|known| known.lsn <= lsn);
        Replayed { lsn, ..known.cloned().unwrap_or_default() }
    }

    fn keep(&self, session: Session, replayed: Replayed) {
        let mut standbys = self.standbys.lock().unwrap_or_else(PoisonError::into_inner);
        if standbys.len() >= MAX_SESSIONS && !standbys.contains_key(&session) {
            standbys.clear();
        }
        standbys.insert(session, replayed);
    }
}

impl Replayed {
    /// All older transactions than `oldest` have ended.
    fn forget_below(&mut self, oldest: i64) {
        self.open.retain_mut(|range| {
            range.start = range.start.max(oldest);
            !range.is_empty()
        });
        self.asked = self.asked.max(oldest);
    }

    /// Asks about those that were open, and about the first that have begun since; whether that were all below `next`.
    async fn ask_about(&mut self, next: i64, connection: &mut AsyncPgConnection) -> QueryResult<bool> {
        let end = next.min(self.asked.saturating_add(MAX_ASKED));
        // A transaction with very many subtransactions shows as many. Then they count as open until the oldest has ended.
        let known = if width(&self.open) <= MAX_ASKED { std::mem::take(&mut self.open) } else { Vec::new() };
        let begun = self.asked..end;
        let (first, ends): (Vec<_>, Vec<_>) =
            known.iter().chain([&begun]).map(|range| (range.start, range.end)).unzip();
        if first.iter().zip(&ends).all(|(first, end)| first >= end) {
            return Ok(true);
        }
        let open: Vec<i64> = RunQueryDsl::load(OpenTransactions { first, end: ends }, connection).await?;
        self.open.extend(open.into_iter().map(|xid| xid..xid + 1));
        self.open = merged(std::mem::take(&mut self.open));
        self.asked = self.asked.max(end);
        Ok(self.asked >= next)
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
