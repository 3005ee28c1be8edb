//! Applying events to every projection, and whose fault it is where that fails.

use std::time::{Duration, Instant};

use diesel_async::AsyncPgConnection;
use shared_events::OrderEvent;

use super::isolate::Found;
use super::{Drain, DrainError, Mode, deferred};
use crate::batch::error_class::{Blame, blame};

impl Drain {
    /// Applies `events`: in one go, or in parts that show which are refused or wait for a lock.
    pub(super) async fn apply_ready(
        &self,
        connection: &mut AsyncPgConnection,
        events: &[OrderEvent],
        mode: Mode,
    ) -> Result<Found, DrainError> {
        match mode.part {
            _ if events.is_empty() => Ok(Found::default()),
            None => self.apply(connection, events, mode).await.map(|()| Found::default()),
            Some(part) => self.isolate(connection, events, part, mode).await,
        }
    }

    pub(super) async fn apply(
        &self,
        connection: &mut AsyncPgConnection,
        events: &[OrderEvent],
        mode: Mode,
    ) -> Result<(), DrainError> {
        for projection in &self.projections {
            let start = Instant::now();
            projection.apply(connection, events).await.map_err(|source| DrainError::Projection {
                projection: projection.name(),
                took: start.elapsed(),
                source,
            })?;
        }
        if mode.check_deferred {
            deferred::check(connection).await?;
        }
        Ok(())
    }

    pub(super) fn blame(&self, error: &DrainError) -> Blame {
        self.blame_within(error, self.database.shortest_timeout())
    }

    /// The same where no wait ends before `shortest_timeout`.
    pub(super) fn blame_within(&self, error: &DrainError, shortest_timeout: Duration) -> Blame {
        match error {
            DrainError::Projection { source, took, .. } => {
                blame(source, *took, shortest_timeout.min(self.database.shortest_timeout()))
            }
            _ => Blame::Database,
        }
    }
}
