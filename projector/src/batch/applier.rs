//! Applies the events of a source: repeats a batch that failed because of a lock or an event.

use std::time::SystemTime;

use service_kit::database::Database;

use super::control::FreeSpace;
use super::deferred_constraints::DeferredConstraints;
use super::error_class::ErrorClass;
use super::skip_locked::SkipLocked;
use super::source::{Batch, EventSource};
use super::{BatchError, BatchOutcome, traces};
use crate::parked::RetryPolicy;
use crate::projection::Projection;

/// Applies events to projections: the same for every source of events.
pub(crate) struct Applier {
    pub(super) database: Database,
    pub(super) projections: Vec<Box<dyn Projection>>,
    pub(super) retry_policy: RetryPolicy,
    pub(super) skip_locked: SkipLocked,
    pub(super) deferred_constraints: DeferredConstraints,
    pub(super) free_space: FreeSpace,
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

impl Applier {
    /// Applies events from `database` to `projections`. Events that fail are tried again as `retry_policy` says.
    pub(crate) fn new(
        database: Database,
        projections: Vec<Box<dyn Projection>>,
        retry_policy: RetryPolicy,
    ) -> Self {
        Self {
            database,
            projections,
            retry_policy,
            skip_locked: SkipLocked::default(),
            deferred_constraints: DeferredConstraints::default(),
            free_space: FreeSpace::default(),
        }
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// Claims up to `limit` events of `source` and applies them, in one transaction. The same transaction records what
    /// became of those that cannot be projected, or whose rows are locked.
    ///
    /// # Errors
    ///
    /// [`BatchError`] if the database failed. The batch was rolled back then.
    pub(crate) async fn run_once(
        &self,
        source: &dyn EventSource,
        limit: i64,
    ) -> Result<BatchOutcome, BatchError> {
        match self.run_with_fallbacks(source, limit).await {
            Ok(batch) => {
                let committed = SystemTime::now();
                source.committed(&self.database, &batch).await;
                traces::committed(source, &batch, committed);
                Ok(BatchOutcome::from(&batch))
            }
            Err(error) => {
                self.deferred_constraints.forget();
                source.failed(&self.database, &error).await;
                Err(error)
            }
        }
    }

    /// Runs a batch. If it fails because of a lock or an event, repeats it, skipping locked rows or applying it in
    /// parts.
    async fn run_with_fallbacks(&self, source: &dyn EventSource, limit: i64) -> Result<Batch, BatchError> {
        let part_size = &source.sizing().part;
        let mut mode = Mode {
            skip_locked: source.always_skips_locked() || self.skip_locked.is_on(),
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
}

impl From<&Batch> for BatchOutcome {
    fn from(batch: &Batch) -> Self {
        if batch.len() == 0 {
            return Self::Empty;
        }
        let Batch { applied, parked, locked, .. } = batch;
        Self::Committed { applied: applied.len(), parked: parked.len(), waiting: locked.len() }
    }
}
