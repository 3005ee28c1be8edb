//! What a task does when a batch fails.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use service_kit::overload::OncePerSecond;
use service_kit::telemetry::chain;

use super::due;
use super::task::{Known, Task};
use super::wait::{LOOK_EVERY, Wait};
use crate::batch::BatchError;

/// All subscriptions fail at once in an outage.
static OUTAGE: OncePerSecond = OncePerSecond::new();

/// Why a batch failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("the listener panicked")]
    Panicked,
}

impl Task {
    /// Records the failure where operators see it. If even that fails, the database is at fault.
    pub(super) async fn failed(&self, known: &mut Known, error: &StepError) -> Wait {
        known.size.try_one();
        if let StepError::Batch(BatchError::Connect(_)) = error {
            return self.outage(known, error);
        }
        let (name, reason) = (self.steps.name(), chain(error));
        let (row, stored) = (name.to_owned(), reason.clone());
        let recorded = self.steps.database().write(move |connection| {
            let (row, stored) = (row.clone(), stored.clone());
            async move { due::record_failure(connection, row, &stored).await }.boxed()
        });
        match recorded.await {
            Ok(Some(failure)) => {
                let retry_in_ms = u64::try_from(failure.retry_in.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(
                    subscription = name,
                    failures = failure.failures,
                    retry_in_ms,
                    error = reason,
                    "the subscription failed; its events wait"
                );
                Wait::For(failure.retry_in.min(LOOK_EVERY))
            }
            Ok(None) => Wait::For(LOOK_EVERY),
            Err(_) => self.outage(known, error),
        }
    }

    /// The wait while the database itself fails.
    pub(super) fn outage(&self, known: &mut Known, error: &(dyn std::error::Error + 'static)) -> Wait {
        if let Some(times) = OUTAGE.count() {
            tracing::warn!(
                times,
                subscription = self.steps.name(),
                error = chain(error),
                "subscriptions cannot reach the database"
            );
        }
        Wait::For(known.outage.next().unwrap_or_default())
    }
}

/// A panic of a listener must not end the process: each fails alone.
pub(super) async fn caught<T>(step: BoxFuture<'_, Result<T, BatchError>>) -> Result<T, StepError> {
    match AssertUnwindSafe(step).catch_unwind().await {
        Ok(done) => Ok(done?),
        Err(_panic) => Err(StepError::Panicked),
    }
}
