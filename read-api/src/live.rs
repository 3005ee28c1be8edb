//! Live updates: a stream sends every changed order of one customer in its newest state, and misses none.
//!
//! One task polls for all streams: with one query it reads the rows written by transactions that it has not seen. It
//! needs only the table, so a standby will do. It finds a transaction that commits late, too: a change is new if its
//! transaction had not ended at the last poll, whenever the row was written.
//!
//! If the changes cannot be sent one by one, the stream sends a snapshot: the customer's newest orders, which replace
//! everything that the client knows.

mod changes;
mod delivery;
mod feed;
mod report;
mod subscriber;

use std::sync::Arc;
use std::time::Duration;

use service_kit::metrics::Registry;
use service_kit::tasks::CriticalTasks;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

pub use self::delivery::{Delivery, EventData, LiveEvent};
use self::delivery::{Orders, QueueBudget};
use self::feed::Feed;
use self::report::Reason;
pub use self::report::Report;
use self::subscriber::Subscriber;
use crate::model::{ReadPosition, ResumePoint};
use crate::occupancy;
use crate::port::{OrderWatch, QueryError};

/// The number of orders in a snapshot; the same as on the first page of a list.
pub(crate) const SNAPSHOT_ORDERS: u8 = 20;

/// The time between two heartbeats, which show clients that the read model can be read.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(5);

/// The maximum number of changes that are sent one by one. Beyond it, a snapshot is shorter.
const MAX_CHANGES: usize = 1_000;

/// The maximum number of queued deliveries. The stream of a slower client ends.
const MAX_DELIVERIES: usize = 64;

/// The maximum number of orders in these deliveries.
const MAX_QUEUED_ORDERS: usize = 4_000;

/// One client's stream. It ends when the client reads too slowly, when the read model cannot be read for long, or
/// when the process stops. The client reconnects with the id of the last event that it received.
pub struct Subscription {
    /// Deliveries for the start of the stream.
    pub initial: Vec<Delivery>,
    /// Deliveries as changes happen.
    pub updates: mpsc::Receiver<Delivery>,
}

/// The reason why a stream cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// The read model cannot be queried.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The maximum number of streams is open, or the process is stopping.
    #[error("too many streams, or the process is stopping")]
    Full,
}

/// Starts streams.
pub struct Live<W> {
    watch: Arc<W>,
    subscribers: mpsc::Sender<Subscriber>,
    slots: Arc<Semaphore>,
    max_streams: usize,
    budget: QueueBudget,
    report: Arc<Report>,
}

/// The start of a stream.
struct Opening {
    deliveries: Vec<Delivery>,
    /// The resume point of a client that has received the deliveries.
    resume_point: ResumePoint,
    /// The position at which the orders in the deliveries were read.
    position: ReadPosition,
}

impl<W: OrderWatch> Live<W> {
    /// Polls `watch` every `live_poll` while there are streams, until the process stops. Up to `max_streams` are open
    /// at once; each holds a client connection, but no database connection.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start(watch: Arc<W>, live_poll: Duration, max_streams: usize, tasks: &CriticalTasks) -> Self {
        let end = tasks.stop().clone();
        Self::start_with_report(watch, live_poll, max_streams, Report::unregistered(), end, tasks)
    }

    /// Like [`Live::start`]; `report` counts what interrupts streams, and `end` ends them all.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start_with_report(
        watch: Arc<W>,
        live_poll: Duration,
        max_streams: usize,
        report: Report,
        end: CancellationToken,
        tasks: &CriticalTasks,
    ) -> Self {
        let (subscribers, new_subscribers) = mpsc::channel(max_streams);
        let (budget, report) = (QueueBudget::new(), Arc::new(report));
        let feed =
            Feed::new(Arc::clone(&watch), live_poll, new_subscribers, budget.clone(), Arc::clone(&report));
        // When this task ends, every stream ends.
        tasks.spawn("live feed", async move {
            end.run_until_cancelled(feed.run()).await;
        });
        Self { watch, subscribers, slots: Arc::new(Semaphore::new(max_streams)), max_streams, budget, report }
    }

    /// Shows in each scrape how many streams are open.
    pub fn observe(&self, registry: &Registry) {
        occupancy::observe(
            registry,
            ("orders_live_streams", "Open live streams."),
            ("orders_live_streams_max", "How many live streams may be open. Further ones are refused."),
            Arc::clone(&self.slots),
            self.max_streams,
        );
    }

    /// Opens a stream of this customer's changes: from `last` on if the changes since then can be listed, otherwise
    /// starting with a snapshot.
    pub async fn subscribe(
        &self,
        customer_id: String,
        last: Option<ResumePoint>,
    ) -> Result<Subscription, SubscribeError> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| SubscribeError::Full)?;
        let resumed = match last {
            Some(last) => self.resume(&customer_id, last).await?,
            None => None,
        };
        let Opening { deliveries, resume_point, position } = match resumed {
            Some(opening) => opening,
            None => self.snapshot(&customer_id).await?,
        };
        let (queue, updates) = Subscriber::queue();
        let subscriber = Subscriber::new(customer_id, (resume_point, position), queue, slot);
        self.subscribers.try_send(subscriber).map_err(|_| SubscribeError::Full)?;
        Ok(Subscription { initial: deliveries, updates })
    }

    async fn snapshot(&self, customer_id: &str) -> Result<Opening, QueryError> {
        let read = self.watch.newest(vec![customer_id.to_owned()], SNAPSHOT_ORDERS).await?;
        let resume_point = read.position.resume_point();
        let orders = Orders::for_snapshot(read.found.into_iter().flatten().collect());
        let deliveries = vec![Delivery::snapshot(resume_point, orders)];
        Ok(Opening { deliveries, resume_point, position: read.position })
    }

    /// The changes since `last`; `None` if they cannot be listed or there are too many.
    async fn resume(&self, customer_id: &str, last: ResumePoint) -> Result<Option<Opening>, QueryError> {
        let read = self.watch.changes_of_customer(customer_id, last.first_unseen, MAX_CHANGES + 1).await?;
        let changes = read.found;
        let obstacle = if last.continues_in(read.position.history) {
            (changes.len() > MAX_CHANGES).then_some(Reason::TooManyChangesSinceResume)
        } else {
            Some(Reason::ResumeOfOtherHistory)
        };
        let changes = changes.into_iter().map(Arc::new).collect();
        let changes = if obstacle.is_none() { self.budget.reserve(changes) } else { None };
        let Some(changes) = changes else {
            self.report.snapshot(obstacle.unwrap_or(Reason::NoRoom));
            return Ok(None);
        };
        let last = ResumePoint { history: read.position.history, ..last };
        // Only the last event carries the new resume point. A client whose connection breaks earlier does not have all
        // changes yet, so it must resume from the old point.
        let resume_point = last.advanced_to(read.position.resume_point());
        let deliveries = vec![Delivery::first_orders(last, changes), Delivery::heartbeat(resume_point)];
        Ok(Some(Opening { deliveries, resume_point, position: read.position }))
    }
}
