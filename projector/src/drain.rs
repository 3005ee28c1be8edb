//! One batch: claimed, applied to every projection, taken away, in one transaction.

mod apply;
mod parked;

use std::time::{Duration, Instant};

use diesel::result::Error as DieselError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use runtime::database::{Database, DatabaseError, PoolError};
use runtime::telemetry::chain;
use shared_events::{OrderEvent, UndecodableEvent};

use self::apply::Approach;
use self::parked::Parked;
use crate::adapter::postgres::claimed::ClaimedEvent;
use crate::adapter::postgres::{outbox, parking};
use crate::frontier::Frontier;
use crate::metrics::Metrics;
use crate::projection::Projection;
use crate::retry::RetryPolicy;

/// A batch that takes longer is given up. PostgreSQL limits each statement; this strikes where it has gone silent.
const BATCH_LIMIT: Duration = Duration::from_secs(30);

/// Drains events into the projections. Workers share it.
pub struct Drain {
    database: Database,
    projections: Vec<Box<dyn Projection>>,
    retries: RetryPolicy,
    frontier: Frontier,
    metrics: Metrics,
}

/// Where events are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The outbox.
    Outbox,
    /// The parked events that are due to be tried again.
    Parked,
}

/// What one batch did. Everything in it is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchOutcome {
    /// There was nothing that nobody else was at.
    Empty,
    /// Events were taken away from where they were.
    Drained {
        /// Applied to every projection.
        applied: usize,
        /// Set aside in `parked_events`, because they cannot be decoded or PostgreSQL refuses what they say.
        parked: usize,
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
}

/// What a transaction has done, to be told once it is committed.
struct Batch {
    claimed_at: Instant,
    applied: Vec<ClaimedEvent>,
    parked: Vec<Parked>,
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
        Self { database, projections, retries, frontier: Frontier::new(), metrics }
    }

    /// Claims up to `limit` events, applies them and takes them away, in one transaction. Events that cannot be
    /// projected are parked in the same transaction.
    ///
    /// # Errors
    ///
    /// [`DrainError`] when the database does not work; nothing has happened then.
    pub async fn run_once(&self, source: Source, limit: i64) -> Result<BatchOutcome, DrainError> {
        let batch = match self.batch(source, limit, Approach::Together).await {
            Err(error) if self.may_be_an_events_fault(&error) => {
                self.batch(source, limit, Approach::Bisecting).await
            }
            batch => batch,
        };
        match batch {
            Ok(batch) => Ok(self.tell(source, batch).await),
            Err(error) => {
                self.metrics.failed();
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

    async fn batch(&self, source: Source, limit: i64, approach: Approach) -> Result<Batch, DrainError> {
        let mut connection = self.database.pool().get().await?;
        let transaction = connection
            .transaction(async |connection| self.claim_and_apply(connection, source, limit, approach).await);
        // A transaction that is dropped half way breaks its connection, which the pool then does not keep.
        tokio::time::timeout(BATCH_LIMIT, transaction).await.map_err(|_| DrainError::Silent)?
    }

    async fn claim_and_apply(
        &self,
        connection: &mut AsyncPgConnection,
        source: Source,
        limit: i64,
        approach: Approach,
    ) -> Result<Batch, DrainError> {
        let claimed_at = Instant::now();
        let claimed = self.claim(connection, source, limit).await?;
        let mut batch = Batch { claimed_at, applied: Vec::with_capacity(claimed.len()), parked: Vec::new() };
        let mut events = Vec::with_capacity(claimed.len());
        for event in claimed {
            match OrderEvent::decode(&event.kind, &event.payload) {
                Ok(decoded) => {
                    events.push(decoded);
                    batch.applied.push(event);
                }
                Err(UndecodableEvent { reason, .. }) => {
                    batch.parked.push(Parked::new(event, &chain(&reason), &self.retries));
                }
            }
        }
        let mut refused = self.apply_all(connection, &events, approach).await?;
        if !refused.is_empty() {
            for (position, event) in std::mem::take(&mut batch.applied).into_iter().enumerate() {
                match refused.remove(&position) {
                    Some(reason) => batch.parked.push(Parked::new(event, &reason, &self.retries)),
                    None => batch.applied.push(event),
                }
            }
        }
        let parked: Vec<_> = batch.parked.iter().map(Parked::parking).collect();
        match source {
            Source::Outbox if parked.is_empty() => {}
            Source::Outbox => parking::park(connection, &parked).await?,
            Source::Parked => {
                let applied: Vec<_> = batch.applied.iter().map(|event| event.id).collect();
                parking::settle(connection, &applied, &parked).await?;
            }
        }
        Ok(batch)
    }

    async fn claim(
        &self,
        connection: &mut AsyncPgConnection,
        source: Source,
        limit: i64,
    ) -> Result<Vec<ClaimedEvent>, DieselError> {
        match source {
            Source::Outbox => outbox::claim(connection, self.frontier.start(), limit).await,
            Source::Parked => parking::claim_due(connection, limit).await,
        }
    }

    /// Counts and logs what is committed, and moves on to where the next claim may begin.
    async fn tell(&self, source: Source, batch: Batch) -> BatchOutcome {
        let Batch { claimed_at, applied, parked } = batch;
        self.metrics.batch(source, applied.len(), parked.len());
        self.metrics.lags(&applied, claimed_at.elapsed());
        parked.iter().for_each(Parked::log);
        let drained = applied.len() + parked.len();
        if source == Source::Outbox {
            log_survey(self.frontier.survey(&self.database, drained).await);
        }
        if drained == 0 {
            BatchOutcome::Empty
        } else {
            BatchOutcome::Drained { applied: applied.len(), parked: parked.len() }
        }
    }
}

fn log_survey(survey: Result<(), DatabaseError>) {
    if let Err(error) = survey {
        tracing::warn!(
            error = chain(&error),
            "cannot tell which ids are settled; claims begin where they did"
        );
    }
}
