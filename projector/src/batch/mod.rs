//! One batch, in one transaction: claim, check, apply, settle.
//!
//! | File | Step |
//! |---|---|
//! | `drain.rs` | claim, and the transaction around all steps |
//! | `ready` | decode, and ask each projection what it refuses |
//! | `locks` | skip rows that another session has locked, while there are any |
//! | `turns` | which of the events that wait for a lock are tried next |
//! | `apply` | apply what is ready in one go |
//! | `isolate` | find the events that PostgreSQL refuses, within the claim; `isolation` says in parts of which size |
//! | `hints` | which event of several is probably refused |
//! | `control` | prove that it is the events, not the database |
//! | `deferred` | check deferrable constraints before the batch ends |
//! | `settle` | park what was refused, set aside what waits for a lock |

mod apply;
mod control;
mod deferrable;
mod deferred;
mod error_class;
pub(crate) mod event_sizes;
mod hints;
mod isolate;
mod isolation;
mod locks;
mod ready;
mod savepoints;
mod settle;

use std::time::{Duration, Instant};

use diesel::result::Error as DieselError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use futures_util::FutureExt;
use service_kit::database::{Database, DatabaseError, PoolError};
use service_kit::overload::OncePerSecond;
use service_kit::telemetry::chain;

use self::control::Room;
use self::deferred::Deferred;
use self::isolation::Isolation;
pub(crate) use self::locks::PROBE_BATCH;
use self::locks::SkipLocked;
use crate::batch::error_class::Blame;
use crate::batch::event_sizes::{DEFAULT_BATCH_MAX_BYTES, EventSizes};
use crate::metrics::Metrics;
use crate::outbox::Frontier;
use crate::outbox::{ClaimLimits, ClaimedEvent};
use crate::parked::{Parked, RetryPolicy};
use crate::projection::Projection;
use crate::waiting::rounds::WaitingTurns;
use crate::{outbox, parked, waiting};

/// Drains events into the projections. Workers share it.
pub struct Drain {
    database: Database,
    projections: Vec<Box<dyn Projection>>,
    retries: RetryPolicy,
    frontier: Frontier,
    metrics: Metrics,
    skip_locked: SkipLocked,
    isolation: Isolation,
    /// Parked events are refused far more often than others.
    isolation_of_parked: Isolation,
    sizes: EventSizes,
    sizes_of_parked: EventSizes,
    sizes_of_waiting: EventSizes,
    deferred: Deferred,
    room: Room,
    set_aside: tokio::sync::Notify,
    waiting: WaitingTurns,
}

/// Where events are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The outbox.
    Outbox,
    /// The parked events that are due to be tried again.
    Parked,
    /// The events that wait for the end of a lock.
    Waiting,
}

/// What one batch did. Everything in it is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchOutcome {
    /// Nothing to claim: there are no events, or other workers hold all of them.
    Empty,
    /// Events were taken away from where they were.
    Drained {
        /// Applied to every projection.
        applied: usize,
        /// Moved to `parked_events`, because they cannot be decoded or the read model refuses what they say.
        parked: usize,
        /// Wait for the end of a lock on their order's row. Those of the outbox were moved to `waiting_events`.
        waiting: usize,
    },
}

/// Why a batch did nothing. All of it was rolled back, and the events are where they were.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// No connection.
    #[error("no connection to the database")]
    Connect(#[from] PoolError),
    /// The database failed.
    #[error("the batch was rolled back")]
    Database(#[from] DieselError),
    /// The database did not answer.
    #[error("the database did not answer, and the batch was given up")]
    Silent,
    /// A projection failed.
    #[error("projection {projection} failed, and the batch was rolled back")]
    Projection {
        /// Its name.
        projection: &'static str,
        /// How long its statements took to fail.
        took: Duration,
        /// What the database said.
        #[source]
        source: DieselError,
    },
    /// The rows of a projection could not be locked, not even those that nobody else has locked.
    #[error("the rows of projection {projection} cannot be locked, and the batch was rolled back")]
    Lock {
        /// Its name.
        projection: &'static str,
        /// What the database said.
        #[source]
        source: DieselError,
    },
    /// Finding the refused events of this batch takes too many savepoints. A smaller batch will do.
    #[error("too many events were refused, and the batch was rolled back")]
    TooManySavepoints,
}

/// How a batch is applied. The usual way is `Mode::default()`.
#[derive(Debug, Clone, Copy, Default)]
struct Mode {
    /// Lock the rows first, and leave out those that another session has locked.
    skip_locked: bool,
    /// Apply in parts of this size, each in a savepoint, so that one that is refused is found.
    part: Option<usize>,
    /// Check deferrable constraints before the batch ends.
    check_deferred: bool,
}

/// What a transaction has done, to be counted and logged once it is committed.
struct Batch {
    claimed_at: Instant,
    applied: Vec<ClaimedEvent>,
    parked: Vec<Parked>,
    waiting: usize,
}

impl Drain {
    /// Drains `database` into `projections`. Events that fail are tried again as `retries` says.
    #[must_use]
    pub fn new(
        database: Database,
        projections: Vec<Box<dyn Projection>>,
        retries: RetryPolicy,
        metrics: Metrics,
    ) -> Self {
        Self {
            database,
            projections,
            retries,
            frontier: Frontier::new(),
            metrics,
            skip_locked: SkipLocked::default(),
            isolation: Isolation::default(),
            isolation_of_parked: Isolation::default(),
            sizes: EventSizes::up_to(DEFAULT_BATCH_MAX_BYTES),
            sizes_of_parked: EventSizes::up_to(DEFAULT_BATCH_MAX_BYTES),
            sizes_of_waiting: EventSizes::up_to(DEFAULT_BATCH_MAX_BYTES),
            deferred: Deferred::default(),
            room: Room::default(),
            set_aside: tokio::sync::Notify::new(),
            waiting: WaitingTurns::default(),
        }
    }

    /// The same with claims of at most so many bytes of payload. An event that is larger is claimed alone.
    #[must_use]
    pub fn with_batch_max_bytes(self, bytes: i64) -> Self {
        Self {
            sizes: EventSizes::up_to(bytes),
            sizes_of_parked: EventSizes::up_to(bytes),
            sizes_of_waiting: EventSizes::up_to(bytes),
            ..self
        }
    }

    /// Claims up to `limit` events, applies them and takes them away, in one transaction. Events that cannot be
    /// projected are parked, and those whose rows are locked are set aside, in the same transaction.
    ///
    /// # Errors
    ///
    /// [`DrainError`] when the database does not work; nothing has happened then.
    pub async fn run_once(&self, source: Source, limit: i64) -> Result<BatchOutcome, DrainError> {
        match self.careful_batch(source, limit).await {
            Ok(batch) => Ok(self.record(source, batch).await),
            Err(error) => {
                self.metrics.failed();
                self.deferred.forget();
                if matches!(error, DrainError::Database(_)) && source == Source::Outbox {
                    log_survey(self.frontier.survey_after_failure(&self.database).await);
                }
                Err(error)
            }
        }
    }

    /// The lowest id at which an event can be in the outbox, as far as is known.
    pub fn start(&self) -> i64 {
        self.frontier.start()
    }

    /// Up to `limit` events are claimed at once; fewer while many are refused.
    pub(crate) fn batch_limit(&self, source: Source, limit: i64) -> i64 {
        self.sizes_of(source).limit(self.isolation_of(source).batch_limit(limit))
    }

    /// Returns when this process has set events aside since the last call.
    pub(crate) async fn until_set_aside(&self) {
        self.set_aside.notified().await;
    }

    /// Whether events wait for the end of a lock.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn is_anything_waiting(&self) -> Result<bool, DatabaseError> {
        if self.is_waiting_round_unfinished() {
            return Ok(true);
        }
        self.database.run(|connection| waiting::is_any(connection).boxed()).await
    }

    /// Rows have been locked for longer than two workers keep each other waiting: locked rows go on being skipped.
    /// Whether there are waiting events whose locks have not been tried since the round through all of them began.
    pub(crate) fn is_waiting_round_unfinished(&self) -> bool {
        self.waiting.unlocked.is_within_round()
    }

    pub(crate) fn rows_are_still_locked(&self) {
        self.skip_locked.switch_on();
    }

    /// A batch in the usual way. What goes wrong decides whether it is done again with more care.
    async fn careful_batch(&self, source: Source, limit: i64) -> Result<Batch, DrainError> {
        let isolation = self.isolation_of(source);
        let is_outbox = source == Source::Outbox;
        let mut mode = Mode {
            skip_locked: !is_outbox || self.skip_locked.is_on(),
            part: isolation.part(),
            check_deferred: false,
        };
        loop {
            let error = match self.batch(source, isolation.batch_limit(limit), mode).await {
                Ok(batch) => return Ok(batch),
                Err(error) => error,
            };
            match self.blame(&error) {
                _ if matches!(error, DrainError::TooManySavepoints) => {
                    isolation.shrink();
                    mode.part = isolation.part();
                }
                Blame::Lock if !mode.skip_locked => {
                    self.skip_locked.switch_on();
                    mode.skip_locked = true;
                }
                Blame::Lock | Blame::Events if mode.part.is_none() => {
                    isolation.switch_on();
                    mode.part = isolation.part();
                }
                _ => return Err(error),
            }
        }
    }

    fn isolation_of(&self, source: Source) -> &Isolation {
        match source {
            Source::Outbox | Source::Waiting => &self.isolation,
            Source::Parked => &self.isolation_of_parked,
        }
    }

    fn sizes_of(&self, source: Source) -> &EventSizes {
        match source {
            Source::Outbox => &self.sizes,
            Source::Parked => &self.sizes_of_parked,
            Source::Waiting => &self.sizes_of_waiting,
        }
    }

    async fn batch(&self, source: Source, limit: i64, mode: Mode) -> Result<Batch, DrainError> {
        let mut session = self.database.session().await?;
        let each_statement = session.statement_limit();
        let transaction =
            session.transaction(async |connection| self.steps(connection, source, limit, mode).await);
        // Boxed: the futures around it would all be as large.
        let batch = each_statement.run(Box::pin(transaction)).await.map_err(|_| DrainError::Silent)?;
        match &batch {
            Ok(_) | Err(DrainError::TooManySavepoints) => session.give_back(),
            Err(DrainError::Projection { source, took, .. }) => session.give_back_after(source, *took),
            Err(DrainError::Lock { source, .. }) => {
                session.give_back_after(source, self.database.shortest_timeout());
            }
            Err(DrainError::Database(error)) => session.give_back_after(error, Duration::ZERO),
            Err(DrainError::Connect(_) | DrainError::Silent) => {}
        }
        batch
    }

    async fn steps(
        &self,
        connection: &mut AsyncPgConnection,
        source: Source,
        limit: i64,
        mode: Mode,
    ) -> Result<Batch, DrainError> {
        let mut mode = Mode { check_deferred: self.deferred.look_up(connection).await?, ..mode };
        let claimed_at = Instant::now();
        let claimed = self.claim(connection, source, limit, &mut mode).await?;
        let (mut ready, mut parked) = self.sort_out(claimed);
        let mut waiting = self.take_locked(connection, &mut ready, mode).await?;
        let found = self.apply_ready(connection, &ready.events, mode).await?;
        if source == Source::Outbox {
            self.isolation.record(ready.events.len(), found.refused.len());
        }
        let (locked, refused) = ready.split_off(found);
        waiting.extend(locked);
        parked.extend(refused.into_iter().map(|(event, why)| Parked::new(event, &why, &self.retries)));
        settle::settle(connection, source, &ready.claimed, &parked, &waiting).await?;
        Ok(Batch { claimed_at, applied: ready.claimed, parked, waiting: waiting.len() })
    }

    async fn claim(
        &self,
        connection: &mut AsyncPgConnection,
        source: Source,
        limit: i64,
        mode: &mut Mode,
    ) -> Result<Vec<ClaimedEvent>, DieselError> {
        let sizes = self.sizes_of(source);
        let limits = ClaimLimits { events: sizes.limit(limit), bytes: sizes.max_bytes() };
        let claimed = match source {
            Source::Outbox => outbox::claim(connection, self.frontier.start(), limits).await,
            Source::Parked => parked::claim_due(connection, limits).await,
            Source::Waiting => self.claim_waiting(connection, limits, mode).await,
        }?;
        sizes.saw(&claimed);
        Ok(claimed)
    }

    /// Counts and logs what is committed, and moves on to where the next claim may begin.
    async fn record(&self, source: Source, batch: Batch) -> BatchOutcome {
        let Batch { claimed_at, applied, parked, waiting } = batch;
        match source {
            Source::Outbox => self.metrics.outbox_batch(applied.len(), parked.len()),
            Source::Waiting => self.metrics.waiting_batch(applied.len(), parked.len()),
            Source::Parked => self.metrics.retried_batch(applied.len(), parked.len()),
        }
        self.metrics.lags(&applied, claimed_at.elapsed());
        parked::event_to_park::log(&parked);
        if source == Source::Waiting {
            self.waiting.newest.committed();
        }
        let taken = applied.len() + parked.len() + waiting;
        if source == Source::Outbox {
            log_survey(self.frontier.survey(&self.database, taken).await);
            if waiting > 0 {
                self.set_aside.notify_one();
            }
        }
        if taken == 0 {
            BatchOutcome::Empty
        } else {
            BatchOutcome::Drained { applied: applied.len(), parked: parked.len(), waiting }
        }
    }
}

fn log_survey(survey: Result<(), DatabaseError>) {
    static UNKNOWN: OncePerSecond = OncePerSecond::new();
    if let Err(error) = survey
        && let Some(times) = UNKNOWN.count()
    {
        tracing::warn!(
            times,
            error = chain(&error),
            "cannot tell which ids are settled; claims begin where they did"
        );
    }
}
