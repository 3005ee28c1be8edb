//! A connection in use. Dropping it closes it, unless its session is known to be intact: a future that is dropped with
//! a statement in flight leaves a session in an unknown state.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool::managed::Object;
use diesel::result::Error as DieselError;
use diesel_async::AsyncPgConnection;

use super::Limits;
use super::connect::{Connector, PooledConnection};
use super::session_effect::{self, SessionEffect};
use super::session_validity::{self, Validity};
use super::statement_limit::StatementLimit;

/// A session younger than this that never ran a statement successfully cannot have stale state, so its errors have
/// another cause. An older session is replaced after an unexplained error.
const YOUNG: Duration = Duration::from_secs(1);

/// Timeouts in a row after which a session is replaced. Timeouts are recognized by their duration only, and on an
/// overloaded machine other errors can take as long.
const MAX_TIMEOUTS: u32 = 3;

/// A pooled connection in use.
pub(super) struct Lease {
    object: Object<Connector>,
    keep: bool,
}

/// What an error says about the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StatementOutcome {
    /// Refused; any session would refuse it.
    Refused,
    /// Refused; a new session may accept it.
    Retryable,
    /// Perhaps executed.
    Unknown,
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

    /// Replaces the connection.
    pub(super) fn replace(&mut self, connection: PooledConnection) {
        *self.object = connection;
        self.keep = false;
    }

    pub(super) fn close(&mut self) {
        self.keep = false;
        self.object.close();
    }

    /// Records that a statement succeeded.
    pub(super) fn succeeded(&mut self, validity: &Validity) {
        self.keep = true;
        self.object.has_worked = true;
        self.object.timeouts = 0;
        validity.record_success(self.object.opened);
    }

    /// Keeps or closes the session after an error.
    pub(super) fn failed(&mut self, effect: SessionEffect, validity: &Validity) -> StatementOutcome {
        let session = &mut *self.object;
        let opened = session.opened;
        match effect {
            SessionEffect::Intact => self.keep = true,
            SessionEffect::Timeout => {
                session.timeouts += 1;
                self.keep = session.timeouts < MAX_TIMEOUTS;
            }
            SessionEffect::Unexplained if !session.has_worked && opened.elapsed() < YOUNG => {
                self.keep = true;
                validity.record_same_failure(opened);
            }
            SessionEffect::Unexplained => {
                self.close();
                validity.suspect(Instant::now());
                return StatementOutcome::Retryable;
            }
            SessionEffect::ReadOnly => {
                self.close();
                validity.invalidate_before(Instant::now(), &session_validity::READ_ONLY);
                return StatementOutcome::Retryable;
            }
            SessionEffect::Lost => {
                self.close();
                return StatementOutcome::Unknown;
            }
        }
        StatementOutcome::Refused
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.keep {
            self.object.close();
        }
    }
}

/// A connection for a transaction of several statements. Dropping it closes it.
pub struct Session {
    lease: Lease,
    validity: Arc<Validity>,
    limits: Limits,
    is_settled: bool,
}

impl Session {
    pub(super) fn new(lease: Lease, validity: Arc<Validity>, limits: Limits) -> Self {
        Self { lease, validity, limits, is_settled: false }
    }

    /// The limit on each statement of a transaction; the same as for a single statement.
    pub fn statement_limit(&mut self) -> StatementLimit {
        StatementLimit::on(&mut self.lease.object.connection, self.limits.response_limit)
    }

    /// Returns the connection to the pool after success. No transaction may be open.
    pub fn give_back(mut self) {
        self.is_settled = true;
        self.lease.succeeded(&self.validity);
    }

    /// Returns the connection to the pool if `error` leaves its session intact; closes it otherwise. The transaction
    /// must be rolled back. `took` is the duration of the failed statement, or zero if unknown.
    pub fn give_back_after(mut self, error: &DieselError, took: Duration) {
        self.is_settled = true;
        let effect = session_effect::classify(error, took, self.limits.lock_or_statement_timeout);
        self.lease.failed(effect, &self.validity);
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
    /// An abandoned transaction may have waited on a dead connection. Other connections of that age may be dead too.
    fn drop(&mut self) {
        if !self.is_settled {
            self.validity.suspect(Instant::now());
        }
    }
}
