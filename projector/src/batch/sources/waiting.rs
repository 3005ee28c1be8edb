//! The waiting events. Those that are still locked stay.

use std::sync::Arc;

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use service_kit::database::Database;

use crate::batch::BatchError;
use crate::batch::source::{Batch, Claim, EventSource, Sizing};
use crate::metrics::Metrics;
use crate::outbox::ClaimLimits;
use crate::parked::{self, DeadLetter};
use crate::waiting::{self, Schedule};

/// Waiting events whose rows can be locked now, or that have no visible row.
pub(in crate::batch) struct WaitingSource {
    pub(in crate::batch) schedule: Schedule,
    pub(in crate::batch) metrics: Arc<Metrics>,
    pub(in crate::batch) sizing: Sizing,
}

impl EventSource for WaitingSource {
    fn sizing(&self) -> &Sizing {
        &self.sizing
    }

    fn claim<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        limits: ClaimLimits,
    ) -> BoxFuture<'a, QueryResult<Claim>> {
        async move {
            let claim = self.schedule.claim(connection, limits).await?;
            Ok(Claim { events: claim.events, one_by_one: claim.one_by_one })
        }
        .boxed()
    }

    fn finish<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        batch: &'a Batch,
    ) -> BoxFuture<'a, QueryResult<()>> {
        async move {
            let applied = batch.applied.iter().map(|event| event.id);
            let gone: Vec<_> = applied.chain(batch.parked.iter().map(DeadLetter::id)).collect();
            if !gone.is_empty() {
                waiting::remove(connection, &gone).await?;
            }
            if !batch.parked.is_empty() {
                parked::park(connection, &batch.parked).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn committed<'a>(&'a self, _database: &'a Database, batch: &'a Batch) -> BoxFuture<'a, ()> {
        self.metrics.count_events(batch.applied.len(), batch.parked.len());
        self.metrics.lags(&batch.applied, batch.claimed_at.elapsed());
        parked::log(None, &batch.parked);
        self.schedule.committed();
        std::future::ready(()).boxed()
    }

    fn failed<'a>(&'a self, _database: &'a Database, _error: &'a BatchError) -> BoxFuture<'a, ()> {
        self.metrics.failed();
        std::future::ready(()).boxed()
    }
}
