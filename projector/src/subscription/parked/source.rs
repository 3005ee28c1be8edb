//! The parked events of a subscription as a source of events.

use std::time::Duration;

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use service_kit::database::Database;

use super::queries;
use crate::batch::{Batch, Claim, EventSource, Sizing};
use crate::outbox::ClaimLimits;
use crate::subscription::store;

/// Parked events that are due. Those that are applied are removed.
pub(in crate::subscription) struct ParkedSource {
    pub(in crate::subscription) name: &'static str,
    pub(in crate::subscription) sizing: Sizing,
    /// No event is due later than this from now on.
    pub(in crate::subscription) latest_due_in: Duration,
}

impl EventSource for ParkedSource {
    fn subscription(&self) -> Option<&str> {
        Some(self.name)
    }

    fn sizing(&self) -> &Sizing {
        &self.sizing
    }

    fn claim<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        limits: ClaimLimits,
    ) -> BoxFuture<'a, QueryResult<Claim>> {
        async move {
            // The lock keeps a read model to one worker at a time, and a paused one unchanged.
            if !queries::is_any_due(connection, self.name, self.latest_due_in).await?
                || store::lock_one(connection, self.name).await?.is_none()
            {
                return Ok(Claim::default());
            }
            Ok(queries::claim_due(connection, self.name, limits, self.latest_due_in).await?.into())
        }
        .boxed()
    }

    fn finish<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        batch: &'a Batch,
    ) -> BoxFuture<'a, QueryResult<()>> {
        queries::record(connection, batch).boxed()
    }

    fn committed<'a>(&'a self, _database: &'a Database, batch: &'a Batch) -> BoxFuture<'a, ()> {
        crate::parked::log(Some(self.name), &batch.parked);
        std::future::ready(()).boxed()
    }
}
