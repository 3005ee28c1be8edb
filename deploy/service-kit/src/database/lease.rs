//! A connection in use. It is closed when it is dropped, unless somebody has decided that its session is intact: a future
//! that is dropped with a statement in flight leaves a session of which nothing is known.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool::managed::Object;
use diesel::result::Error as DieselError;
use diesel_async::AsyncPgConnection;

use super::Limits;
use super::connect::{Connector, PooledConnection};
use super::statement_limit::StatementLimit;
use super::trust::{self, Trust};
use super::verdict::{self, Verdict};

/// A session so young that has not done anything yet has nothing that could be spoilt: an error on it is not its own. Older
/// than this it is replaced after an error, in case it is.
const YOUNG: Duration = Duration::from_secs(1);

/// After so many timeouts in a row a session is replaced. By the time alone they cannot be told from errors of the session
/// on a machine that is short of processor time.
const MAX_TIMEOUTS: u32 = 3;

/// A connection of the pool, as long as it is used.
pub(super) struct Lease {
    object: Object<Connector>,
    keep: bool,
}

/// What an error means for the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verified {
    /// It was refused, and would be on any session.
    Intact,
    /// It was refused; a new session may accept it.
    Refused,
    /// It may have been executed.
    Lost,
}

impl Lease {
    pub(super) fn new(object: Object<Connector>) -> Self {
        Self { object, keep: false }
    }

    pub(super) fn opened(&self) -> Instant {
        self.object.opened
    }

    pub(super) fn session(&mut self) -> &mut PooledConnection {
        &mut self.object
    }

    /// Puts another connection in the place of this one.
    pub(super) fn replace(&mut self, connection: PooledConnection) {
        *self.object = connection;
        self.keep = false;
    }

    /// Closes the connection.
    pub(super) fn close(&mut self) {
        self.keep = false;
        self.object.close();
    }

    /// The session has done what was asked.
    pub(super) fn succeeded(&mut self, trust: &Trust) {
        self.keep = true;
        self.object.has_worked = true;
        self.object.timeouts = 0;
        trust.works(self.object.opened);
    }

    /// Decides what becomes of the session after an error.
    pub(super) fn failed(&mut self, verdict: Verdict, trust: &Trust) -> Verified {
        let session = &mut *self.object;
        let opened = session.opened;
        match verdict {
            Verdict::Intact => self.keep = true,
            Verdict::Timeout => {
                session.timeouts += 1;
                self.keep = session.timeouts < MAX_TIMEOUTS;
            }
            Verdict::Unexplained if !session.has_worked && opened.elapsed() < YOUNG => {
                self.keep = true;
                trust.fails_too(opened);
            }
            Verdict::Unexplained => {
                self.close();
                trust.doubt(Instant::now());
                return Verified::Refused;
            }
            Verdict::ReadOnly => {
                self.close();
                trust.discard_before(Instant::now(), &trust::READ_ONLY);
                return Verified::Refused;
            }
            Verdict::Lost => {
                self.close();
                return Verified::Lost;
            }
        }
        Verified::Intact
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.keep {
            self.object.close();
        }
    }
}

/// A connection for a transaction of several statements. It is closed when it is dropped.
pub struct Session {
    lease: Lease,
    trust: Arc<Trust>,
    limits: Limits,
    is_settled: bool,
}

impl Session {
    pub(super) fn new(lease: Lease, trust: Arc<Trust>, limits: Limits) -> Self {
        Self { lease, trust, limits, is_settled: false }
    }

    /// The limit on each statement of a transaction: the same as for a statement on its own.
    pub fn statement_limit(&mut self) -> StatementLimit {
        StatementLimit::on(&mut self.lease.object.connection, self.limits.answer)
    }

    /// Returns the connection to the pool, after success and outside of a transaction.
    pub fn give_back(mut self) {
        self.is_settled = true;
        self.lease.succeeded(&self.trust);
    }

    /// Returns the connection to the pool if `error` is known to leave its session intact, and the transaction was rolled
    /// back; closes it otherwise. `took` is how long the statement that failed had run, or zero where that is not known.
    pub fn give_back_after(mut self, error: &DieselError, took: Duration) {
        self.is_settled = true;
        let verdict = verdict::of(error, took, self.limits.shortest_timeout);
        self.lease.failed(verdict, &self.trust);
    }
}

impl Deref for Session {
    type Target = AsyncPgConnection;

    fn deref(&self) -> &AsyncPgConnection {
        &self.lease.object.connection
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        &mut self.lease.object.connection
    }
}

impl Drop for Session {
    /// A transaction that was given up may have waited for a connection that has gone silent, and others of its age would
    /// do so too.
    fn drop(&mut self) {
        if !self.is_settled {
            self.trust.doubt(Instant::now());
        }
    }
}
