//! Live updates: a client that watches a customer gets each change of the customer's orders, and misses none.
//!
//! One task reads for all of them, by one query a tick, what was written by transactions that it has not seen. It reads the
//! table alone, so that a standby will do. A transaction that commits late is found nevertheless: what counts is not when a row
//! was written but whether its transaction had ended when the table was last read.
//!
//! Where the changes cannot be sent one by one the client gets a snapshot in the same stream: its newest orders, which make up
//! for whatever it has missed.

mod delivery;
mod feed;
mod report;
mod subscriber;

use std::sync::Arc;
use std::time::Duration;

use service_kit::tasks::CriticalTasks;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

pub use self::delivery::{Delivery, LiveEvent, News};
use self::delivery::{Orders, Room};
use self::feed::Feed;
use self::report::Reason;
pub use self::report::Report;
use self::subscriber::Subscriber;
use crate::model::{Mark, ReadPosition};
use crate::port::{OrderWatch, QueryError};

/// How many orders a snapshot shows: as many as the first page of a list.
const SNAPSHOT: u8 = 20;

/// The most changes that are sent one by one. Where there were more, a snapshot is shorter and says the same.
const MAX_CHANGES: usize = 1_000;

/// How many deliveries a client may be behind before its stream ends.
const MAX_DELIVERIES: usize = 64;

/// How many orders these hold at most.
const MAX_QUEUED: usize = 4_000;

/// What a client is sent: some at once, the rest as it happens. It ends when the client was too slow, when the read model could
/// not be read for long, or when the process stops: the client comes back with the mark of the last event that it received.
pub struct Subscription {
    /// At once.
    pub first: Vec<Delivery>,
    /// As it happens.
    pub then: mpsc::Receiver<Delivery>,
}

/// Why nobody can watch now.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// The read model could not be asked.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// Too many watch already, or the process stops.
    #[error("there are as many streams as there may be, or the process is stopping")]
    Full,
}

/// Where clients begin to watch.
pub struct Live<W> {
    watch: Arc<W>,
    subscribers: mpsc::Sender<Subscriber>,
    slots: Arc<Semaphore>,
    room: Room,
    report: Arc<Report>,
}

/// The first deliveries, the mark behind them, and how far was read for them.
type Begin = (Vec<Delivery>, Mark, ReadPosition);

impl<W: OrderWatch> Live<W> {
    /// Reads from `watch` every `tick`, as long as somebody watches, until the process stops. There are up to `max_streams` at once; each
    /// holds a connection of a client, and none of the database.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start(watch: Arc<W>, tick: Duration, max_streams: usize, tasks: &CriticalTasks) -> Self {
        let end = tasks.stop().clone();
        Self::start_with_report(watch, tick, max_streams, Report::unregistered(), end, tasks)
    }

    /// As [`Live::start`]; `report` counts what interrupts streams, which end with `end`.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start_with_report(
        watch: Arc<W>,
        tick: Duration,
        max_streams: usize,
        report: Report,
        end: CancellationToken,
        tasks: &CriticalTasks,
    ) -> Self {
        let (subscribers, arriving) = mpsc::channel(max_streams);
        let (room, report) = (Room::new(), Arc::new(report));
        let feed = Feed::new(Arc::clone(&watch), tick, arriving, room.clone(), Arc::clone(&report));
        // Its end is the end of every stream.
        tasks.spawn("live feed", async move {
            end.run_until_cancelled(feed.run()).await;
        });
        Self { watch, subscribers, slots: Arc::new(Semaphore::new(max_streams)), room, report }
    }

    /// Sends what happens to this customer's orders: from `mark` on, where the changes since can be found, else from a snapshot
    /// on.
    ///
    /// # Errors
    ///
    /// [`SubscribeError`].
    pub async fn subscribe(
        &self,
        customer_id: String,
        mark: Option<Mark>,
    ) -> Result<Subscription, SubscribeError> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| SubscribeError::Full)?;
        let resumed = match mark {
            Some(mark) => self.resume(&customer_id, mark).await?,
            None => None,
        };
        let (first, mark, position) = match resumed {
            Some(begin) => begin,
            None => self.snapshot(&customer_id).await?,
        };
        let (queue, then) = Subscriber::queue();
        let subscriber = Subscriber::new(customer_id, (mark, position), queue, slot);
        self.subscribers.try_send(subscriber).map_err(|_| SubscribeError::Full)?;
        Ok(Subscription { first, then })
    }

    async fn snapshot(&self, customer_id: &str) -> Result<Begin, QueryError> {
        let read = self.watch.newest(vec![customer_id.to_owned()], SNAPSHOT).await?;
        let mark = read.position.mark();
        let orders = Orders::of_snapshot(read.found.into_iter().flatten().collect());
        Ok((vec![Delivery::snapshot(mark, orders)], mark, read.position))
    }

    /// What has changed since the mark; `None` where that cannot be found out, or is too much.
    async fn resume(&self, customer_id: &str, mark: Mark) -> Result<Option<Begin>, QueryError> {
        let read = self.watch.changes_of(customer_id, mark.settled, MAX_CHANGES + 1).await?;
        let changes = read.found;
        let obstacle = if mark.continues_in(read.position.history) {
            (changes.len() > MAX_CHANGES).then_some(Reason::ResumeTooFar)
        } else {
            Some(Reason::ResumeOfOtherHistory)
        };
        let changes = changes.into_iter().map(Arc::new).collect();
        let changes = if obstacle.is_none() { self.room.hold(changes) } else { None };
        let Some(changes) = changes else {
            self.report.snapshot(obstacle.unwrap_or(Reason::NoRoom));
            return Ok(None);
        };
        let mark = Mark { history: read.position.history, ..mark };
        // Only the last event carries the new mark: a client that is cut off before it has not received everything.
        let reached = mark.advanced_to(read.position.mark());
        let first = vec![Delivery::first_orders(mark, changes), Delivery::heartbeat(reached)];
        Ok(Some((first, reached, read.position)))
    }
}
