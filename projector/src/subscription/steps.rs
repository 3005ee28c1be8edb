//! What a subscription's task repeats.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use service_kit::database::Database;

use super::progress::Progress;
use crate::batch::{BatchError, BatchOutcome};

/// What a subscription's task repeats: for read models and for other listeners.
pub(super) trait Steps: Send + Sync {
    /// The name of the subscription.
    fn name(&self) -> &str;

    /// Where its batches run.
    fn database(&self) -> &Database;

    /// How many events the next batch handles at most, of up to `limit`.
    fn batch_limit(&self, limit: i64) -> i64 {
        limit
    }

    /// Handles the next events, up to `limit`.
    fn run_once(&self, limit: i64) -> BoxFuture<'_, Result<Progress, BatchError>>;

    /// Tries parked events that are due, up to `limit`.
    fn retry_parked(&self, _limit: i64) -> BoxFuture<'_, Result<BatchOutcome, BatchError>> {
        std::future::ready(Ok(BatchOutcome::Empty)).boxed()
    }
}
