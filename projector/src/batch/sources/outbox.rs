//! The outbox. A claim deletes its events.

use std::sync::Arc;

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use service_kit::database::{Database, DatabaseError};
use service_kit::overload::OncePerSecond;
use service_kit::telemetry::chain;

use crate::batch::BatchError;
use crate::batch::decode::DecodedEvent;
use crate::batch::source::{Batch, Claim, EventSource, Sizing};
use crate::event_log::EventLog;
use crate::metrics::Metrics;
use crate::outbox::{self, ClaimLimits, LowWaterMark};
use crate::parked;
use crate::waiting::{self, NewWaitingEvent};

/// Events of the outbox. Those whose rows are locked move to `waiting_events`.
pub(in crate::batch) struct OutboxSource {
    pub(in crate::batch) low_water_mark: Arc<LowWaterMark>,
    pub(in crate::batch) event_log: EventLog,
    pub(in crate::batch) events_were_set_aside: tokio::sync::Notify,
    pub(in crate::batch) metrics: Arc<Metrics>,
    pub(in crate::batch) sizing: Sizing,
}

impl EventSource for OutboxSource {
    fn sizing(&self) -> &Sizing {
        &self.sizing
    }

    fn always_skips_locked(&self) -> bool {
        false
    }

    fn claim<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        limits: ClaimLimits,
    ) -> BoxFuture<'a, QueryResult<Claim>> {
        outbox::claim(connection, self.low_water_mark.get(), limits).map(|events| Ok(events?.into())).boxed()
    }

    fn tried(&self, events: usize, refused: usize) {
        self.sizing.record(events, refused);
    }

    fn finish<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        batch: &'a Batch,
    ) -> BoxFuture<'a, QueryResult<()>> {
        async move {
            if !batch.parked.is_empty() {
                parked::park(connection, &batch.parked).await?;
            }
            if !batch.locked.is_empty() {
                let locked: Vec<_> = batch.locked.iter().map(as_waiting).collect();
                waiting::set_aside(connection, &locked).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn committed<'a>(&'a self, database: &'a Database, batch: &'a Batch) -> BoxFuture<'a, ()> {
        async move {
            self.metrics.outbox_batch(batch.applied.len(), batch.parked.len());
            self.metrics.lags(&batch.applied, batch.claimed_at.elapsed());
            parked::log(None, &batch.parked);
            if batch.len() > 0 {
                self.event_log.committed();
            }
            log_failed_advance(self.low_water_mark.advance(database, batch.len()).await);
            if !batch.locked.is_empty() {
                log_locked(&batch.locked);
                self.events_were_set_aside.notify_one();
            }
        }
        .boxed()
    }

    fn failed<'a>(&'a self, database: &'a Database, error: &'a BatchError) -> BoxFuture<'a, ()> {
        async move {
            self.metrics.failed();
            if matches!(error, BatchError::Database(_)) {
                log_failed_advance(self.low_water_mark.advance_after_failure(database).await);
            }
        }
        .boxed()
    }
}

fn as_waiting(decoded: &DecodedEvent) -> NewWaitingEvent<'_> {
    let order = &decoded.event.order;
    NewWaitingEvent { event: &decoded.claimed, order_id: order.order_id, version: order.version }
}

/// The lock has lasted longer than a wait for it, or another one did so seconds ago.
fn log_locked(locked: &[DecodedEvent]) {
    static LOCKED: OncePerSecond = OncePerSecond::new();
    let Some((first, times)) = locked.first().zip(LOCKED.count()) else { return };
    let fields = first.fields();
    tracing::warn!(
        times,
        events = locked.len(),
        order.id = fields.order_id(),
        order.version = fields.version(),
        trace_id = fields.trace_id(),
        span_id = fields.span_id(),
        "another session has locked rows of a read model; the events of these rows wait"
    );
}

fn log_failed_advance(advance: Result<(), DatabaseError>) {
    static FAILED: OncePerSecond = OncePerSecond::new();
    if let Err(error) = advance
        && let Some(times) = FAILED.count()
    {
        tracing::warn!(
            times,
            error = chain(&error),
            "the low-water mark could not be advanced; claims start at the old mark"
        );
    }
}
