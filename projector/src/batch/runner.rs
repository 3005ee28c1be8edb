//! Runs batches: repeats one that failed because of a lock or an event, and records a committed one.

use std::sync::Arc;

use futures_util::FutureExt;
use service_kit::database::{Database, DatabaseError};
use service_kit::overload::OncePerSecond;
use service_kit::telemetry::chain;

use super::control::FreeSpace;
use super::deferred_constraints::DeferredConstraints;
use super::error_class::ErrorClass;
use super::event_sizes::{DEFAULT_BATCH_MAX_BYTES, EventSizes};
use super::part_size::PartSize;
use super::skip_locked::SkipLocked;
use super::steps::Batch;
use super::{BatchError, BatchOutcome, Source};
use crate::event_log::EventLog;
use crate::metrics::Metrics;
use crate::outbox::LowWaterMark;
use crate::parked::{self, RetryPolicy};
use crate::projection::Projection;
use crate::waiting::{self, Schedule};

/// Runs batches. Workers share it.
pub struct BatchRunner {
    pub(super) database: Database,
    pub(super) projections: Vec<Box<dyn Projection>>,
    pub(super) retry_policy: RetryPolicy,
    pub(super) low_water_mark: Arc<LowWaterMark>,
    metrics: Metrics,
    pub(super) skip_locked: SkipLocked,
    pub(super) part_size: PartSize,
    /// Parked events are refused far more often than others.
    part_size_of_parked: PartSize,
    sizes: EventSizes,
    sizes_of_parked: EventSizes,
    sizes_of_waiting: EventSizes,
    pub(super) deferred_constraints: DeferredConstraints,
    pub(super) free_space: FreeSpace,
    events_were_set_aside: tokio::sync::Notify,
    event_log: EventLog,
    pub(super) waiting: Schedule,
}

/// How a batch is applied. The usual way is `Mode::default()`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mode {
    /// Lock the rows first, and leave out those that another session has locked.
    pub(super) skip_locked: bool,
    /// Apply in parts of this size, each in a savepoint, to find the event that is refused.
    pub(super) part: Option<usize>,
    /// Check deferred constraints before the commit.
    pub(super) check_deferred: bool,
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
        Self {
            database,
            projections,
            retry_policy,
            low_water_mark: Arc::new(LowWaterMark::new()),
            metrics,
            skip_locked: SkipLocked::default(),
            part_size: PartSize::default(),
            part_size_of_parked: PartSize::default(),
            sizes: EventSizes::new(DEFAULT_BATCH_MAX_BYTES),
            sizes_of_parked: EventSizes::new(DEFAULT_BATCH_MAX_BYTES),
            sizes_of_waiting: EventSizes::new(DEFAULT_BATCH_MAX_BYTES),
            deferred_constraints: DeferredConstraints::default(),
            free_space: FreeSpace::default(),
            events_were_set_aside: tokio::sync::Notify::new(),
            event_log: EventLog::default(),
            waiting: Schedule::default(),
        }
    }

    /// Limits the payload bytes of each claim. A larger event is claimed alone.
    #[must_use]
    pub fn with_batch_max_bytes(self, batch_max_bytes: i64) -> Self {
        Self {
            sizes: EventSizes::new(batch_max_bytes),
            sizes_of_parked: EventSizes::new(batch_max_bytes),
            sizes_of_waiting: EventSizes::new(batch_max_bytes),
            ..self
        }
    }

    /// Tells the readers of `event_log` about each committed batch.
    #[must_use]
    pub(crate) fn with_event_log(self, event_log: EventLog) -> Self {
        Self { event_log, ..self }
    }

    /// Claims up to `limit` events and applies them, in one transaction. The same transaction parks events that cannot
    /// be projected, and sets aside events whose rows are locked.
    ///
    /// # Errors
    ///
    /// [`BatchError`] if the database failed. The batch was rolled back then.
    pub async fn run_once(&self, source: Source, limit: i64) -> Result<BatchOutcome, BatchError> {
        match self.run_with_fallbacks(source, limit).await {
            Ok(batch) => Ok(self.record(source, batch).await),
            Err(error) => {
                self.metrics.failed();
                self.deferred_constraints.forget();
                if matches!(error, BatchError::Database(_)) && source == Source::Outbox {
                    log_failed_advance(self.low_water_mark.advance_after_failure(&self.database).await);
                }
                Err(error)
            }
        }
    }

    /// The lowest id at which an event can be in the outbox, as far as is known.
    pub fn low_water_mark(&self) -> i64 {
        self.low_water_mark.get()
    }

    /// The same, as it advances.
    pub(crate) fn shared_low_water_mark(&self) -> Arc<LowWaterMark> {
        Arc::clone(&self.low_water_mark)
    }

    /// How many events the next batch claims at most, of up to `limit`: fewer while many are refused or large.
    pub(crate) fn batch_limit(&self, source: Source, limit: i64) -> i64 {
        self.sizes_of(source).limit(self.part_size_of(source).batch_limit(limit))
    }

    /// Returns when this process has set events aside since the last call.
    pub(crate) async fn until_events_are_set_aside(&self) {
        self.events_were_set_aside.notified().await;
    }

    /// Whether events wait for the end of a lock.
    pub async fn is_anything_waiting(&self) -> Result<bool, DatabaseError> {
        if self.is_waiting_round_unfinished() {
            return Ok(true);
        }
        self.database.run(|connection| waiting::is_any(connection).boxed()).await
    }

    /// Whether the locks of some waiting events have not been tried in this round.
    pub(crate) fn is_waiting_round_unfinished(&self) -> bool {
        self.waiting.is_round_unfinished()
    }

    /// Keeps skipping locked rows: some have been locked for too long to be the work of another worker.
    pub(crate) fn keep_skipping_locked_rows(&self) {
        self.skip_locked.switch_on();
    }

    /// Runs a batch. If it fails because of a lock or an event, repeats it, skipping locked rows or applying it in
    /// parts.
    async fn run_with_fallbacks(&self, source: Source, limit: i64) -> Result<Batch, BatchError> {
        let part_size = self.part_size_of(source);
        let mut mode = Mode {
            skip_locked: source != Source::Outbox || self.skip_locked.is_on(),
            part: part_size.get(),
            check_deferred: false,
        };
        loop {
            let error = match self.batch(source, part_size.batch_limit(limit), mode).await {
                Ok(batch) => return Ok(batch),
                Err(error) => error,
            };
            match self.classify(&error) {
                _ if matches!(error, BatchError::TooManySavepoints) => {
                    part_size.shrink();
                    mode.part = part_size.get();
                }
                ErrorClass::Lock if !mode.skip_locked => {
                    self.skip_locked.switch_on();
                    mode.skip_locked = true;
                }
                ErrorClass::Lock | ErrorClass::Event if mode.part.is_none() => {
                    part_size.switch_on();
                    mode.part = part_size.get();
                }
                _ => return Err(error),
            }
        }
    }

    fn part_size_of(&self, source: Source) -> &PartSize {
        match source {
            Source::Outbox | Source::Waiting => &self.part_size,
            Source::Parked => &self.part_size_of_parked,
        }
    }

    pub(super) fn sizes_of(&self, source: Source) -> &EventSizes {
        match source {
            Source::Outbox => &self.sizes,
            Source::Parked => &self.sizes_of_parked,
            Source::Waiting => &self.sizes_of_waiting,
        }
    }

    /// Counts and logs a committed batch, and advances the low-water mark.
    async fn record(&self, source: Source, batch: Batch) -> BatchOutcome {
        let Batch { claimed_at, applied, parked, waiting } = batch;
        match source {
            Source::Outbox => self.metrics.outbox_batch(applied.len(), parked.len()),
            Source::Waiting => self.metrics.count_events(applied.len(), parked.len()),
            Source::Parked => self.metrics.retried_batch(applied.len(), parked.len()),
        }
        self.metrics.lags(&applied, claimed_at.elapsed());
        parked::log(&parked);
        if source == Source::Waiting {
            self.waiting.committed();
        }
        let claimed = applied.len() + parked.len() + waiting;
        if source == Source::Outbox {
            if claimed > 0 {
                self.event_log.committed();
            }
            log_failed_advance(self.low_water_mark.advance(&self.database, claimed).await);
            if waiting > 0 {
                self.events_were_set_aside.notify_one();
            }
        }
        if claimed == 0 {
            BatchOutcome::Empty
        } else {
            BatchOutcome::Committed { applied: applied.len(), parked: parked.len(), waiting }
        }
    }
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
