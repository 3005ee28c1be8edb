//! The steps of a batch, in one transaction: claim, decode, apply, park.

use std::time::{Duration, Instant, SystemTime};

use diesel::result::Error as DieselError;
use diesel_async::{AsyncConnection, AsyncPgConnection};

use super::BatchError;
use super::applier::{Applier, Mode};
use super::source::{Batch, EventSource};
use crate::outbox::{ClaimLimits, ClaimedEvent};
use crate::parked::DeadLetter;

impl Applier {
    /// Runs all steps in one transaction.
    pub(super) async fn batch(
        &self,
        source: &dyn EventSource,
        limit: i64,
        mode: Mode,
    ) -> Result<Batch, BatchError> {
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
        source: &dyn EventSource,
        limit: i64,
        mode: Mode,
    ) -> Result<Batch, BatchError> {
        let mut mode = Mode { check_deferred: self.deferred_constraints.exist(connection).await?, ..mode };
        let (claimed_at, began) = (Instant::now(), SystemTime::now());
        let events_claimed = claim(connection, source, limit, &mut mode).await?;
        let claimed = SystemTime::now();
        let (mut ready, mut parked) = self.decode_all(events_claimed);
        let mut locked = self.take_locked(connection, &mut ready, mode).await?;
        let found = self.apply_ready(connection, &ready, mode).await?;
        source.tried(ready.len(), found.refused.len());
        let refused = found.take_out_of(&mut ready, &mut locked);
        parked.extend(
            refused.into_iter().map(|(event, reason)| DeadLetter::new(event, &reason, &self.retry_policy)),
        );
        let applied = ready.into_iter().map(|decoded| decoded.claimed).collect();
        let batch = Batch { claimed_at, began, claimed, applied, parked, locked };
        source.finish(connection, &batch).await?;
        Ok(batch)
    }
}

async fn claim(
    connection: &mut AsyncPgConnection,
    source: &dyn EventSource,
    limit: i64,
    mode: &mut Mode,
) -> Result<Vec<ClaimedEvent>, DieselError> {
    let sizes = &source.sizing().events;
    let limits = ClaimLimits { events: sizes.limit(limit), bytes: sizes.batch_max_bytes() };
    let claim = source.claim(connection, limits).await?;
    if claim.one_by_one {
        mode.part = Some(1);
    }
    sizes.record(&claim.events);
    Ok(claim.events)
}
