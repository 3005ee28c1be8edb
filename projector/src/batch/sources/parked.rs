//! The parked events that are due.

use std::sync::Arc;
use std::time::Duration;

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use service_kit::database::Database;

use crate::batch::BatchError;
use crate::batch::source::{Batch, Claim, EventSource, Sizing};
use crate::metrics::Metrics;
use crate::outbox::ClaimLimits;
use crate::parked;

/// Parked events that are due. Those that are applied are removed.
pub(in crate::batch) struct ParkedSource {
    pub(in crate::batch) metrics: Arc<Metrics>,
    pub(in crate::batch) sizing: Sizing,
    /// No event is due later than this from now on.
    pub(in crate::batch) latest_due_in: Duration,
}

impl EventSource for ParkedSource {
    fn sizing(&self) -> &Sizing {
        &self.sizing
    }

    fn claim<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        limits: ClaimLimits,
    ) -> BoxFuture<'a, QueryResult<Claim>> {
        parked::claim(connection, limits, self.latest_due_in).map(|events| Ok(events?.into())).boxed()
    }

    fn finish<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        batch: &'a Batch,
    ) -> BoxFuture<'a, QueryResult<()>> {
        async move {
            if !batch.applied.is_empty() {
                let applied: Vec<_> = batch.applied.iter().map(|event| event.id).collect();
                parked::remove(connection, &applied).await?;
            }
            if !batch.parked.is_empty() {
                parked::park_again(connection, &batch.parked).await?;
            }
            if !batch.locked.is_empty() {
                let locked: Vec<_> = batch.locked.iter().map(|decoded| decoded.claimed.id).collect();
                parked::postpone(connection, &locked).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn committed<'a>(&'a self, _database: &'a Database, batch: &'a Batch) -> BoxFuture<'a, ()> {
        self.metrics.retried_batch(batch.applied.len(), batch.parked.len());
        parked::log(None, &batch.parked);
        std::future::ready(()).boxed()
    }

    fn failed<'a>(&'a self, _database: &'a Database, _error: &'a BatchError) -> BoxFuture<'a, ()> {
        self.metrics.failed();
        std::future::ready(()).boxed()
    }
}
