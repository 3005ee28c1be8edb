//! Live updates: who watches a customer is told each change of the customer's orders, and misses none.
//!
//! One task asks for all of them, by one query a tick, which transactions have written since the last one. It asks the
//! table alone, so that a standby will do. A transaction that commits late is found nevertheless: what counts is not when a row
//! was written but whether its transaction had ended when the table was last read.

mod feed;

use std::sync::Arc;
use std::time::Duration;

use runtime::tasks::CriticalTasks;
use tokio::sync::{Semaphore, mpsc};

use self::feed::{Feed, Subscriber};
use crate::model::{Mark, OrderSummary};
use crate::port::{OrderWatch, QueryError};

/// How many orders a snapshot shows: as many as the first page of a list.
const SNAPSHOT: u8 = 20;

/// The most changes that are told at once. Where there were more, a snapshot tells less and says the same.
const MAX_CHANGES: usize = 1_000;

/// How many ticks with news a client may be behind before it is dropped.
const MAX_BATCHES: usize = 64;

/// One thing to tell a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveEvent {
    /// Whoever has been told this, and everything before it, has been told what earlier transactions than this wrote.
    pub mark: Mark,
    /// What there is to tell.
    pub news: News,
}

/// What there is to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The newest orders, newest first: what was told before counts no more.
    Snapshot(Vec<OrderSummary>),
    /// This order was placed or changed.
    Order(Arc<OrderSummary>),
    /// Nothing, but the read model could be read just now.
    Heartbeat,
}

/// What a client is told: some at once, the rest as it happens. It ends when the client was too slow, when the history of the
/// database took another turn, or when the process stops: the client comes back with the last mark that it was told.
pub struct Subscription {
    /// At once.
    pub first: Vec<LiveEvent>,
    /// As it happens.
    pub then: mpsc::Receiver<Vec<LiveEvent>>,
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
}

impl<W: OrderWatch> Live<W> {
    /// Asks `watch` every `tick`, as long as anybody watches, until the process stops. There are up to `max_streams` at once; each holds a
    /// connection of a client, and none of the database.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start(watch: Arc<W>, tick: Duration, max_streams: usize, tasks: &CriticalTasks) -> Self {
        let (subscribers, came) = mpsc::channel(max_streams);
        let feed = Feed::new(Arc::clone(&watch), tick, came);
        // Its end is the end of every stream.
        let stop = tasks.stop().clone();
        tasks.spawn("live feed", async move {
            stop.run_until_cancelled(feed.run()).await;
        });
        Self { watch, subscribers, slots: Arc::new(Semaphore::new(max_streams)) }
    }

    /// Tells what happens to this customer's orders: since `told`, where that can be found out, else from a snapshot on.
    ///
    /// # Errors
    ///
    /// [`SubscribeError`].
    pub async fn subscribe(
        &self,
        customer_id: String,
        told: Option<Mark>,
    ) -> Result<Subscription, SubscribeError> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| SubscribeError::Full)?;
        let (first, mark) = match told {
            Some(told) => match self.resume(&customer_id, told).await? {
                Some(resumed) => resumed,
                None => self.snapshot(&customer_id).await?,
            },
            None => self.snapshot(&customer_id).await?,
        };
        let (tell, then) = mpsc::channel(MAX_BATCHES);
        let subscriber = Subscriber::new(customer_id, mark, tell, slot);
        self.subscribers.try_send(subscriber).map_err(|_| SubscribeError::Full)?;
        Ok(Subscription { first, then })
    }

    async fn snapshot(&self, customer_id: &str) -> Result<(Vec<LiveEvent>, Mark), QueryError> {
        let read = self.watch.newest(customer_id, SNAPSHOT).await?;
        Ok((vec![LiveEvent { mark: read.mark, news: News::Snapshot(read.orders) }], read.mark))
    }

    /// What has changed since the mark; `None` where that cannot be told, or is too much.
    async fn resume(
        &self,
        customer_id: &str,
        told: Mark,
    ) -> Result<Option<(Vec<LiveEvent>, Mark)>, QueryError> {
        let read = self.watch.changes_of(customer_id, told.settled, MAX_CHANGES + 1).await?;
        if read.mark.history != told.history || read.orders.len() > MAX_CHANGES {
            return Ok(None);
        }
        let mark = later(told, read.mark);
        // Only the last event may tell the new mark: a client that is cut off before it has not been told everything.
        let changes = read.orders.into_iter().map(|order| News::Order(Arc::new(order)));
        let mut first: Vec<_> = changes.map(|news| LiveEvent { mark: told, news }).collect();
        first.push(LiveEvent { mark, news: News::Heartbeat });
        Ok(Some((first, mark)))
    }
}

/// What was seen on a server that has come further counts on one that has not.
fn later(one: Mark, other: Mark) -> Mark {
    if one.settled > other.settled { one } else { other }
}
