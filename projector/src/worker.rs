//! One cycle of projecting, and the loop around it.

use std::sync::Arc;
use std::time::Duration;

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use runtime::database::{Database, PoolError};
use runtime::telemetry::chain;
use shared_events::{OrderEvent, UndecodableEvent};
use tokio_util::sync::CancellationToken;

use crate::adapter::postgres::outbox::{self, ClaimedEvent};
use crate::adapter::postgres::parked_events;
use crate::projection::Projection;
use crate::pulse::Pulse;
use crate::retry;

/// A cycle that takes longer is given up. PostgreSQL limits each statement; this strikes where it has gone silent.
const CYCLE_LIMIT: Duration = Duration::from_secs(30);

/// Projects events. Workers share it: it holds nothing that a cycle changes.
pub struct Worker {
    database: Database,
    projections: Vec<Box<dyn Projection>>,
    batch_size: i64,
}

/// What one cycle did. Everything in it is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchOutcome {
    /// The outbox had nothing that another worker was not already at.
    Empty,
    /// Events were taken out of the outbox.
    Drained {
        /// Applied to every projection.
        applied: usize,
        /// Set aside in `parked_events`, because they cannot be decoded or PostgreSQL refuses what they say.
        parked: usize,
    },
}

/// Why a cycle did nothing. All of it was rolled back, and the events are still in the outbox.
#[derive(Debug, thiserror::Error)]
pub enum CycleError {
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
        /// What the database said.
        #[source]
        source: DieselError,
    },
}

/// How a worker goes about polling.
pub(crate) struct Polling {
    pub(crate) longest_pause: Duration,
    pub(crate) pulse: Pulse,
    pub(crate) stop: CancellationToken,
}

/// An event that was set aside, for the log: told once that is committed.
struct Parked {
    id: i64,
    kind: String,
    reason: String,
}

/// How a claimed batch is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Approach {
    /// All events in one go: the usual way.
    Together,
    /// Each event by itself, so that the one that PostgreSQL refuses is found and the others go on.
    OneByOne,
}

impl Worker {
    /// A worker that claims up to `batch_size` events a cycle.
    #[must_use]
    pub fn new(database: Database, projections: Vec<Box<dyn Projection>>, batch_size: i64) -> Self {
        Self { database, projections, batch_size }
    }

    /// Claims a batch, applies it and takes it out of the outbox, in one transaction. Events that can never be projected
    /// are parked in the same transaction.
    ///
    /// # Errors
    ///
    /// [`CycleError`] when the database does not work; nothing has happened then.
    pub async fn run_once(&self) -> Result<BatchOutcome, CycleError> {
        match self.cycle(Approach::Together).await {
            Err(CycleError::Projection { source, .. }) if blames_the_data(&source) => {
                self.cycle(Approach::OneByOne).await
            }
            outcome => outcome,
        }
    }

    /// Cycles until told to stop: at once while there is work, less and less often while there is none, and with
    /// growing pauses while the database does not work.
    pub(crate) async fn run(self: Arc<Self>, polling: Polling) {
        let Polling { longest_pause, pulse, stop } = polling;
        let mut idle = retry::idle(longest_pause);
        let mut outage = retry::outage();
        while !stop.is_cancelled() {
            let pause = match self.run_once().await {
                Ok(outcome) => {
                    pulse.beat();
                    outage = retry::outage();
                    match outcome {
                        BatchOutcome::Empty => idle.next(),
                        BatchOutcome::Drained { .. } => {
                            idle = retry::idle(longest_pause);
                            None
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(error = chain(&error), "cycle failed; events stay in the outbox");
                    outage.next()
                }
            };
            if let Some(pause) = pause {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
    }

    async fn cycle(&self, approach: Approach) -> Result<BatchOutcome, CycleError> {
        let mut connection = self.database.pool().get().await?;
        let draining =
            connection.transaction(async |connection| self.drain_batch(connection, approach).await);
        // A transaction that is dropped half way breaks its connection, which the pool then does not keep.
        let (outcome, parked) =
            tokio::time::timeout(CYCLE_LIMIT, draining).await.map_err(|_| CycleError::Silent)??;
        for Parked { id, kind, reason } in parked {
            tracing::error!(event.id = id, event.kind = kind, reason, "event parked");
        }
        Ok(outcome)
    }

    async fn drain_batch(
        &self,
        connection: &mut AsyncPgConnection,
        approach: Approach,
    ) -> Result<(BatchOutcome, Vec<Parked>), CycleError> {
        let claimed = outbox::claim(connection, self.batch_size).await?;
        if claimed.is_empty() {
            return Ok((BatchOutcome::Empty, Vec::new()));
        }
        let mut events = Vec::with_capacity(claimed.len());
        let mut parked = Vec::new();
        for claim in claimed {
            match OrderEvent::decode(&claim.kind, &claim.payload) {
                Ok(event) => events.push((claim, event)),
                Err(UndecodableEvent { reason, .. }) => {
                    parked.push(park(connection, claim, chain(&reason)).await?);
                }
            }
        }
        let applied = match approach {
            Approach::Together => self.apply_together(connection, events).await?,
            Approach::OneByOne => self.apply_one_by_one(connection, events, &mut parked).await?,
        };
        Ok((BatchOutcome::Drained { applied, parked: parked.len() }, parked))
    }

    async fn apply_together(
        &self,
        connection: &mut AsyncPgConnection,
        events: Vec<(ClaimedEvent, OrderEvent)>,
    ) -> Result<usize, CycleError> {
        let events: Vec<_> = events.into_iter().map(|(_, event)| event).collect();
        if !events.is_empty() {
            self.apply(connection, &events).await?;
        }
        Ok(events.len())
    }

    /// Each event in a savepoint of its own: one that is refused takes only itself back.
    async fn apply_one_by_one(
        &self,
        connection: &mut AsyncPgConnection,
        events: Vec<(ClaimedEvent, OrderEvent)>,
        parked: &mut Vec<Parked>,
    ) -> Result<usize, CycleError> {
        let mut applied = 0;
        for (claim, event) in events {
            let alone = std::slice::from_ref(&event);
            match connection.transaction(async |connection| self.apply(connection, alone).await).await {
                Ok(()) => applied += 1,
                Err(CycleError::Projection { projection, source }) if blames_the_data(&source) => {
                    parked.push(park(connection, claim, format!("{projection}: {}", chain(&source))).await?);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(applied)
    }

    async fn apply(
        &self,
        connection: &mut AsyncPgConnection,
        events: &[OrderEvent],
    ) -> Result<(), CycleError> {
        for projection in &self.projections {
            projection
                .apply(connection, events)
                .await
                .map_err(|source| CycleError::Projection { projection: projection.name(), source })?;
        }
        Ok(())
    }
}

async fn park(
    connection: &mut AsyncPgConnection,
    claim: ClaimedEvent,
    reason: String,
) -> Result<Parked, CycleError> {
    parked_events::park(connection, &claim, &reason).await?;
    Ok(Parked { id: claim.id, kind: claim.kind, reason })
}

/// Whether PostgreSQL refused what an event says, rather than failed to do its work. A constraint says so clearly.
/// diesel-async reports every other SQLSTATE without its code; those count as an outage, which loses nothing.
fn blames_the_data(error: &DieselError) -> bool {
    use DatabaseErrorKind::{
        CheckViolation, ExclusionViolation, ForeignKeyViolation, NotNullViolation, UniqueViolation,
    };
    matches!(
        error,
        DieselError::DatabaseError(
            CheckViolation | ExclusionViolation | ForeignKeyViolation | NotNullViolation | UniqueViolation,
            _
        )
    )
}
