//! Writes the current state of orders to the outbox again, to repair or fill a read model.

use std::time::Duration;

use chrono::TimeDelta;
use uuid::Uuid;

use crate::domain::Order;
use crate::port::{OrderFilter, RepublishSource, RepublishSourceError};

/// How long to wait before the backlog is checked again.
const BACKLOG_PAUSE: Duration = Duration::from_millis(100);

/// How much earlier than requested `since` starts. The writer that changes an order stamps it by its own clock, which
/// may be slow. Republishing more orders than needed is harmless.
pub const CLOCK_MARGIN: TimeDelta = TimeDelta::hours(24);

/// Republishes orders. It may be stopped at any point and started again, even from the beginning: applying an event
/// twice gives the same summary.
#[derive(Debug, Clone)]
pub struct Republish {
    pub filter: OrderFilter,
    /// Only orders whose id sorts after this one: where an earlier run stopped.
    pub after: Option<Uuid>,
    /// How many orders are scanned in one step.
    pub batch: i64,
    /// Pause while the outbox holds more events than this, so that new events do not wait behind republished ones.
    pub max_backlog: i64,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    pub scanned: u64,
    /// Orders republished; their events are committed.
    pub republished: u64,
    /// Orders left out because their rows are not valid orders; the log names them.
    pub corrupt: u64,
    /// The last order scanned. A later run can start after it.
    pub last: Option<Uuid>,
}

/// The run ended early. The events written so far are committed.
#[derive(Debug, thiserror::Error)]
#[error("stopped after {} orders; continue with {}", progress.republished, resume(progress))]
pub struct RepublishError {
    /// How far the run had come.
    pub progress: Progress,
    #[source]
    pub source: RepublishSourceError,
}

fn resume(progress: &Progress) -> String {
    progress.last.map_or_else(|| "the same command".to_owned(), |last| format!("--after {last}"))
}

impl Republish {
    /// Scans the orders by id, and reports progress after each step.
    ///
    /// # Errors
    ///
    /// [`RepublishError`] says where to continue.
    pub async fn run(
        self,
        source: &impl RepublishSource,
        mut report: impl FnMut(&Progress),
    ) -> Result<Progress, RepublishError> {
        let mut progress = Progress { last: self.after, ..Progress::default() };
        loop {
            match self.step(source, &mut progress, &mut report).await {
                Ok(true) => report(&progress),
                Ok(false) => return Ok(progress),
                Err(source) => return Err(RepublishError { progress, source }),
            }
        }
    }

    /// Republishes one page. Returns `false` if there is none left.
    async fn step(
        &self,
        source: &impl RepublishSource,
        progress: &mut Progress,
        report: &mut impl FnMut(&Progress),
    ) -> Result<bool, RepublishSourceError> {
        while source.backlog_exceeds(self.max_backlog).await? {
            report(progress);
            tokio::time::sleep(BACKLOG_PAUSE).await;
        }
        let Some(page) = source.page(&self.filter, progress.last, self.batch).await? else {
            return Ok(false);
        };
        for (order_id, error) in &page.corrupt {
            let error = service_kit::telemetry::chain(error.as_ref());
            tracing::error!(order.id = %order_id, error, "order left out: its row is not a valid order");
        }
        let events: Vec<_> = page.orders.iter().map(Order::republished).collect();
        if !events.is_empty() {
            source.emit(&events).await?;
        }
        progress.scanned += page.scanned;
        progress.republished += u64::try_from(events.len()).unwrap_or(u64::MAX);
        progress.corrupt += u64::try_from(page.corrupt.len()).unwrap_or(u64::MAX);
        progress.last = Some(page.last);
        Ok(true)
    }
}
