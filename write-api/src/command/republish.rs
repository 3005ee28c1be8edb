//! The current state of orders is told once more, to repair or to fill a read model.

use std::time::Duration;

use chrono::TimeDelta;
use uuid::Uuid;

use crate::domain::Order;
use crate::port::{ArchiveError, OrderArchive, WhichOrders};

/// How long to wait before the backlog is looked at again.
const BACKLOG_PAUSE: Duration = Duration::from_millis(100);

/// How much earlier than asked for `since` begins. An order's time is that of the writer that changed it, whose clock may be
/// slow: an order that changed just now may seem to have changed earlier. Orders that are republished needlessly do no harm.
pub const CLOCK_MARGIN: TimeDelta = TimeDelta::hours(24);

/// The wish to republish orders. It may be stopped at any point and begun again, also from the start: a summary that has
/// been told twice is the same.
#[derive(Debug, Clone)]
pub struct Republish {
    /// Which orders.
    pub which: WhichOrders,
    /// Only orders whose id comes after this one: where an earlier run was stopped.
    pub after: Option<Uuid>,
    /// How many orders are looked at in one step.
    pub batch: i64,
    /// While more events than this wait to be projected nothing is added: what happens now must not wait behind what
    /// happened long ago.
    pub max_backlog: i64,
}

/// How far a republication has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Orders looked at.
    pub looked_at: u64,
    /// Orders republished; their events are committed.
    pub republished: u64,
    /// Orders left out, because what is stored is not an order; the log names them.
    pub corrupt: u64,
    /// The last order looked at: a later run can begin after it.
    pub last: Option<Uuid>,
}

/// The republication ended early. What it had told is committed.
#[derive(Debug, thiserror::Error)]
#[error("stopped after {} orders; go on with {}", progress.republished, resume(progress))]
pub struct RepublishError {
    /// How far it had come.
    pub progress: Progress,
    /// What went wrong.
    #[source]
    pub source: ArchiveError,
}

fn resume(progress: &Progress) -> String {
    progress.last.map_or_else(|| "the same command".to_owned(), |last| format!("--after {last}"))
}

impl Republish {
    /// Goes through the orders by id, and reports after each step.
    ///
    /// # Errors
    ///
    /// [`RepublishError`], which tells where to go on.
    pub async fn run(
        self,
        archive: &impl OrderArchive,
        mut report: impl FnMut(&Progress),
    ) -> Result<Progress, RepublishError> {
        let mut progress = Progress { last: self.after, ..Progress::default() };
        loop {
            match self.step(archive, &mut progress, &mut report).await {
                Ok(true) => report(&progress),
                Ok(false) => return Ok(progress),
                Err(source) => return Err(RepublishError { progress, source }),
            }
        }
    }

    /// One page; `false` where there is none left.
    async fn step(
        &self,
        archive: &impl OrderArchive,
        progress: &mut Progress,
        report: &mut impl FnMut(&Progress),
    ) -> Result<bool, ArchiveError> {
        while archive.backlog_exceeds(self.max_backlog).await? {
            report(progress);
            tokio::time::sleep(BACKLOG_PAUSE).await;
        }
        let Some(page) = archive.page(&self.which, progress.last, self.batch).await? else {
            return Ok(false);
        };
        for (order_id, error) in &page.corrupt {
            let error = service_kit::telemetry::chain(error.as_ref());
            tracing::error!(order.id = %order_id, error, "order left out: what is stored is not an order");
        }
        let events: Vec<_> = page.orders.iter().map(Order::republished).collect();
        if !events.is_empty() {
            archive.emit(&events).await?;
        }
        progress.looked_at += page.looked_at;
        progress.republished += u64::try_from(events.len()).unwrap_or(u64::MAX);
        progress.corrupt += u64::try_from(page.corrupt.len()).unwrap_or(u64::MAX);
        progress.last = Some(page.last);
        Ok(true)
    }
}
