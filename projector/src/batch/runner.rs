//! Runs the batches of the claim: from the outbox, and of the events that left it without being applied.

use std::sync::Arc;

use futures_util::FutureExt;
use service_kit::database::{Database, DatabaseError};

use super::applier::Applier;
use super::event_sizes::DEFAULT_BATCH_MAX_BYTES;
use super::source::{EventSource, Sizing};
use super::sources::{OutboxSource, ParkedSource, WaitingSource};
use super::{BatchError, BatchOutcome, Source};
use crate::event_log::EventLog;
use crate::metrics::Metrics;
use crate::outbox::LowWaterMark;
use crate::parked::RetryPolicy;
use crate::projection::Projection;
use crate::waiting::{self, Schedule};

/// Runs batches. Workers share it.
pub struct BatchRunner {
    applier: Applier,
    outbox: OutboxSource,
    waiting: WaitingSource,
    parked: ParkedSource,
}

impl BatchRunner {
    /// Applies events from `database` to `projections`. Events that fail are tried again as `retry_policy` says.
    #[must_use]
    pub fn new(
        database: Database,
        projections: Vec<Box<dyn Projection>>,
        retry_policy: RetryPolicy,
        metrics: Metrics,
    ) -> Self {
        let metrics = Arc::new(metrics);
        let outbox = OutboxSource {
            low_water_mark: Arc::new(LowWaterMark::new()),
            event_log: EventLog::default(),
            events_were_set_aside: tokio::sync::Notify::new(),
            metrics: Arc::clone(&metrics),
            sizing: Sizing::new(DEFAULT_BATCH_MAX_BYTES),
        };
        let waiting = WaitingSource {
            schedule: Schedule::default(),
            metrics: Arc::clone(&metrics),
            sizing: Sizing::like(&outbox.sizing),
        };
        let parked = ParkedSource {
            metrics,
            sizing: Sizing::new(DEFAULT_BATCH_MAX_BYTES),
            latest_due_in: retry_policy.latest_due_in(),
        };
        Self { applier: Applier::new(database, projections, retry_policy), outbox, waiting, parked }
    }

    /// Limits the payload bytes of each claim. A larger event is claimed alone.
    #[must_use]
    pub fn with_batch_max_bytes(mut self, batch_max_bytes: i64) -> Self {
        self.outbox.sizing = Sizing::new(batch_max_bytes);
        self.waiting.sizing = Sizing::like(&self.outbox.sizing);
        // Parked events are refused far more often than others.
        self.parked.sizing = Sizing::new(batch_max_bytes);
        self
    }

    /// Tells the readers of `event_log` about each committed batch.
    #[must_use]
    pub(crate) fn with_event_log(mut self, event_log: EventLog) -> Self {
        self.outbox.event_log = event_log;
        self
    }

    /// Claims up to `limit` events and applies them, in one transaction. The same transaction parks events that cannot
    /// be projected, and sets aside events whose rows are locked.
    ///
    /// # Errors
    ///
    /// [`BatchError`] if the database failed. The batch was rolled back then.
    pub async fn run_once(&self, source: Source, limit: i64) -> Result<BatchOutcome, BatchError> {
        self.applier.run_once(self.source(source), limit).await
    }

    fn source(&self, source: Source) -> &dyn EventSource {
        match source {
            Source::Outbox => &self.outbox,
            Source::Parked => &self.parked,
            Source::Waiting => &self.waiting,
        }
    }

    /// The lowest id at which an event can be in the outbox, as far as is known.
    pub fn low_water_mark(&self) -> i64 {
        self.outbox.low_water_mark.get()
    }

    /// The same, as it advances.
    pub(crate) fn shared_low_water_mark(&self) -> Arc<LowWaterMark> {
        Arc::clone(&self.outbox.low_water_mark)
    }

    /// How many events the next batch claims at most, of up to `limit`: fewer while many are refused or large.
    pub(crate) fn batch_limit(&self, source: Source, limit: i64) -> i64 {
        self.source(source).sizing().batch_limit(limit)
    }

    /// Returns when this process has set events aside since the last call.
    pub(crate) async fn until_events_are_set_aside(&self) {
        self.outbox.events_were_set_aside.notified().await;
    }

    /// Whether events wait for the end of a lock.
    pub async fn is_anything_waiting(&self) -> Result<bool, DatabaseError> {
        if self.is_waiting_round_unfinished() {
            return Ok(true);
        }
        self.applier.database.run(|connection| waiting::is_any(connection).boxed()).await
    }

    /// Whether the locks of some waiting events have not been tried in this round.
    pub(crate) fn is_waiting_round_unfinished(&self) -> bool {
        self.waiting.schedule.is_round_unfinished()
    }

    /// Keeps skipping locked rows: some have been locked for too long to be the work of another worker.
    pub(crate) fn keep_skipping_locked_rows(&self) {
        self.applier.skip_locked.switch_on();
    }
}
