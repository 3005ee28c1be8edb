//! Applying events to every projection, and classifying the errors.

use std::time::{Duration, Instant};

use diesel_async::AsyncPgConnection;
use shared_events::OrderEvent;

use super::applier::{Applier, Mode};
use super::decode::{DecodedEvent, events};
use super::error_class::{ErrorClass, classify};
use super::search::Found;
use super::{BatchError, deferred_constraints};

impl Applier {
    /// Applies the events all at once, or in parts that show which events are refused or locked.
    pub(super) async fn apply_ready(
        &self,
        connection: &mut AsyncPgConnection,
        ready: &[DecodedEvent],
        mode: Mode,
    ) -> Result<Found, BatchError> {
        match mode.part {
            _ if ready.is_empty() => Ok(Found::default()),
            None => self.apply(connection, &events(ready), mode).await.map(|()| Found::default()),
            Some(part) => self.isolate(connection, ready, part, mode).await,
        }
    }

    pub(super) async fn apply(
        &self,
        connection: &mut AsyncPgConnection,
        events: &[&OrderEvent],
        mode: Mode,
    ) -> Result<(), BatchError> {
        for projection in &self.projections {
            let start = Instant::now();
            projection.apply(connection, events).await.map_err(|source| BatchError::Projection {
                projection: projection.name(),
                took: start.elapsed(),
                source,
            })?;
        }
        if mode.check_deferred {
            deferred_constraints::check(connection).await?;
        }
        Ok(())
    }

    pub(super) fn classify(&self, error: &BatchError) -> ErrorClass {
        self.classify_within(error, self.database.lock_or_statement_timeout())
    }

    /// The same, where no wait for a lock ends before `min_timeout`.
    pub(super) fn classify_within(&self, error: &BatchError, min_timeout: Duration) -> ErrorClass {
        match error {
            BatchError::Projection { source, took, .. } => {
                classify(source, *took, min_timeout.min(self.database.lock_or_statement_timeout()))
            }
            _ => ErrorClass::Database,
        }
    }
}
