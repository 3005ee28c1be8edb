//! The steps of a batch, in one transaction: claim, decode, apply, park.

use std::time::{Duration, Instant};

use diesel::result::Error as DieselError;
use diesel_async::{AsyncConnection, AsyncPgConnection};

use super::decode::events;
use super::runner::{BatchRunner, Mode};
use super::{BatchError, Source, finish};
use crate::outbox::{self, ClaimLimits, ClaimedEvent};
use crate::parked::{self, DeadLetter};

/// What a transaction did, to count and log after its commit.
pub(super) struct Batch {
    pub(super) claimed_at: Instant,
    pub(super) applied: Vec<ClaimedEvent>,
    pub(super) parked: Vec<DeadLetter>,
    pub(super) waiting: usize,
}

impl BatchRunner {
    /// Runs all steps in one transaction.
    pub(super) async fn batch(&self, source: Source, limit: i64, mode: Mode) -> Result<Batch, BatchError> {
        let mut session = self.database.session().await?;
        let each_statement = session.statement_limit();
        let transaction =
            session.transaction(async |connection| self.steps(connection, source, limit, mode).await);
        // Boxed, because every future around it would be as large.
        let batch = each_statement.run(Box::pin(transaction)).await.map_err(|_| BatchError::NoAnswer)?;
        match &batch {
            Ok(_) | Err(BatchError::TooManySavepoints) => session.give_back(),
            Err(BatchError::Projection { source, took, .. }) => session.give_back_after(source, *took),
            Err(BatchError::Lock { source, .. }) => {
                session.give_back_after(source, self.database.lock_or_statement_timeout());
            }
            Err(BatchError::Database(error)) => session.give_back_after(error, Duration::ZERO),
            Err(BatchError::Connect(_) | BatchError::NoAnswer) => {}
        }
        batch
    }

    async fn steps(
        &self,
        connection: &mut AsyncPgConnection,
        source: Source,
        limit: i64,
        mode: Mode,
    ) -> Result<Batch, BatchError> {
        let mut mode = Mode { check_deferred: self.deferred_constraints.exist(connection).await?, ..mode };
        let claimed_at = Instant::now();
        let claimed = self.claim(connection, source, limit, &mut mode).await?;
        let (mut ready, mut parked) = self.decode_all(claimed);
        let mut waiting = self.take_locked(connection, &mut ready, mode).await?;
        let found = self.apply_ready(connection, &events(&ready), mode).await?;
        if source == Source::Outbox {
            self.part_size.record(ready.len(), found.refused.len());
        }
        let refused = found.take_out_of(&mut ready, &mut waiting);
        parked.extend(
            refused.into_iter().map(|(event, reason)| DeadLetter::new(event, &reason, &self.retry_policy)),
        );
        let applied: Vec<_> = ready.into_iter().map(|decoded| decoded.claimed).collect();
        finish::finish(connection, source, &applied, &parked, &waiting).await?;
        Ok(Batch { claimed_at, applied, parked, waiting: waiting.len() })
    }

    async fn claim(
        &self,
        connection: &mut AsyncPgConnection,
        source: Source,
        limit: i64,
        mode: &mut Mode,
    ) -> Result<Vec<ClaimedEvent>, DieselError> {
        let sizes = self.sizes_of(source);
        let limits = ClaimLimits { events: sizes.limit(limit), bytes: sizes.batch_max_bytes() };
        let claimed = match source {
            Source::Outbox => outbox::claim(connection, self.low_water_mark.get(), limits).await?,
            Source::Parked => parked::claim(connection, limits).await?,
            Source::Waiting => {
                let claim = self.waiting.claim(connection, limits).await?;
                if claim.one_by_one {
                    mode.part = Some(1);
                }
                claim.events
            }
        };
        sizes.record(&claimed);
        Ok(claimed)
    }
}
