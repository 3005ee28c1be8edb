//! Waiting until an order has reached a version, so that clients can read their own writes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use service_kit::metrics::Registry;
use service_kit::shares::{Held, OverShare};
use service_kit::tasks::CriticalTasks;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use crate::model::{OrderDetail, WantedVersion};
use crate::occupancy;
use crate::port::{OrderWatch, QueryError};

/// The minimum pause between two polls. Projecting an event takes about as long.
const POLL_PAUSE: Duration = Duration::from_millis(2);

/// The pause is at least this many times the duration of the last poll, so that polling never takes more than a fifth
/// of one connection's time.
const PAUSE_PER_POLL: u32 = 4;

/// The maximum pause between two attempts to read from a server that lags.
const MAX_PAUSE: Duration = Duration::from_millis(100);

/// The reason why a wait ended without the order.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The order did not reach the version in time.
    #[error("the order has not reached version {min_version} in the read model")]
    Behind {
        /// The version that was waited for.
        min_version: i32,
    },
    /// The read model cannot be queried.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The caller already has the maximum number of waiting requests.
    #[error(transparent)]
    OverShare(#[from] OverShare),
    /// The maximum number of requests already wait.
    #[error("too many requests are waiting for a version of an order")]
    TooMany,
}

/// Polls for all waiting requests with one query, and not at all while no request waits.
pub struct VersionWait {
    waiters: Arc<Waiters>,
    slots: Arc<Semaphore>,
    max_waiters: usize,
}

#[derive(Default)]
struct Waiters {
    by_order: Mutex<ByOrder>,
    added: Notify,
}

/// The waiters for each order, and the customer whose order it must be.
type ByOrder = HashMap<(Uuid, Option<String>), Vec<Waiter>>;

struct Waiter {
    version: i32,
    reply: oneshot::Sender<Result<OrderDetail, QueryError>>,
}

impl VersionWait {
    /// Queries `watch`. Up to `max_waiters` requests wait at once; each holds a client connection, but no database
    /// connection.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start<W: OrderWatch>(watch: Arc<W>, max_waiters: usize, tasks: &CriticalTasks) -> Self {
        let waiters = Arc::new(Waiters::default());
        tasks.spawn("version wait", poll(watch, Arc::clone(&waiters)));
        Self { waiters, slots: Arc::new(Semaphore::new(max_waiters)), max_waiters }
    }

    /// Shows in each scrape how many requests wait.
    pub fn observe(&self, registry: &Registry) {
        occupancy::observe(
            registry,
            ("orders_version_waits", "Requests that wait for a version of an order."),
            (
                "orders_version_waits_max",
                "How many requests may wait for a version. Further ones are refused.",
            ),
            Arc::clone(&self.slots),
            self.max_waiters,
        );
    }

    /// Returns the order as soon as it has the wanted version or a later one; waits up to `limit`, in the share that
    /// `begin` takes.
    pub async fn reach(
        &self,
        wanted: WantedVersion,
        limit: Duration,
        begin: impl FnOnce() -> Result<Held, OverShare>,
    ) -> Result<OrderDetail, WaitError> {
        let _slot = self.slot(&wanted, limit, begin)?;
        self.wait(wanted, limit).await
    }

    /// Calls `read` until it returns a response, which it does once the server that it queried has the wanted version.
    /// After the first attempt it waits for the version, up to `limit`. Another attempt may query a standby that lags
    /// behind the server on which the wait has seen the version; then there is a pause before the next.
    pub async fn read_at<T>(
        &self,
        wanted: &WantedVersion,
        limit: Duration,
        begin: impl FnOnce() -> Result<Held, OverShare>,
        read: impl AsyncFn() -> Result<Option<T>, QueryError>,
    ) -> Result<T, WaitError> {
        if let Some(response) = read().await? {
            return Ok(response);
        }
        let _slot = self.slot(wanted, limit, begin)?;
        let deadline = Instant::now() + limit;
        let mut pause = POLL_PAUSE;
        loop {
            self.wait(wanted.clone(), deadline.saturating_duration_since(Instant::now())).await?;
            if let Some(response) = read().await? {
                return Ok(response);
            }
            tokio::time::sleep_until(deadline.min(Instant::now() + pause)).await;
            pause = MAX_PAUSE.min(2 * pause);
        }
    }

    fn slot(
        &self,
        wanted: &WantedVersion,
        limit: Duration,
        begin: impl FnOnce() -> Result<Held, OverShare>,
    ) -> Result<(Held, SemaphorePermit<'_>), WaitError> {
        if limit.is_zero() {
            return Err(WaitError::Behind { min_version: wanted.version });
        }
        let held = begin()?;
        Ok((held, self.slots.try_acquire().map_err(|_| WaitError::TooMany)?))
    }

    async fn wait(&self, wanted: WantedVersion, limit: Duration) -> Result<OrderDetail, WaitError> {
        let min_version = wanted.version;
        let reply = self.waiters.add(wanted);
        match tokio::time::timeout(limit, reply).await {
            Ok(Ok(order)) => Ok(order?),
            _ => Err(WaitError::Behind { min_version }),
        }
    }
}

/// Waits for `found`. When the grant of the request has `ended` first, the version counts as not reached: the caller
/// may not see what comes later.
pub async fn until_ended<T>(
    ended: impl Future<Output = ()>,
    min_version: i32,
    found: impl Future<Output = Result<T, WaitError>>,
) -> Result<T, WaitError> {
    tokio::select! {
        biased;
        () = ended => Err(WaitError::Behind { min_version }),
        found = found => found,
    }
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, ByOrder> {
        // No panic can leave the map half changed.
        self.by_order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, wanted: WantedVersion) -> oneshot::Receiver<Result<OrderDetail, QueryError>> {
        let WantedVersion { order_id, version, customer_id } = wanted;
        let (reply, receiver) = oneshot::channel();
        self.lock().entry((order_id, customer_id)).or_default().push(Waiter { version, reply });
        self.added.notify_one();
        receiver
    }

    /// The versions that requests still wait for: for each order the lowest. Removes waiters whose requests have ended.
    fn wanted(&self) -> Vec<WantedVersion> {
        let mut by_order = self.lock();
        by_order.retain(|_, waiters| {
            waiters.retain(|waiter| !waiter.reply.is_closed());
            !waiters.is_empty()
        });
        let lowest = |waiters: &Vec<Waiter>| waiters.iter().map(|waiter| waiter.version).min();
        let wanted = by_order.iter().filter_map(|((order_id, customer_id), waiters)| {
            let customer_id = customer_id.clone();
            Some(WantedVersion { order_id: *order_id, version: lowest(waiters)?, customer_id })
        });
        wanted.collect()
    }

    /// Replies to the waiters for this version of the order or an earlier one.
    fn reply(&self, order: &OrderDetail) {
        let mut by_order = self.lock();
        for customer_id in [None, Some(order.customer_id.clone())] {
            let Some(waiters) = by_order.get_mut(&(order.order_id, customer_id)) else { continue };
            for waiter in waiters.extract_if(.., |waiter| waiter.version <= order.version) {
                let _closed = waiter.reply.send(Ok(order.clone()));
            }
        }
    }

    /// The query failed: fails all waiters with the same error.
    fn fail_all(&self, error: &QueryError) {
        for waiter in self.lock().drain().flat_map(|(_, waiters)| waiters) {
            let _closed = waiter.reply.send(Err(error.clone()));
        }
    }
}

async fn poll<W: OrderWatch>(watch: Arc<W>, waiters: Arc<Waiters>) {
    loop {
        let wanted = waiters.wanted();
        if wanted.is_empty() {
            waiters.added.notified().await;
            continue;
        }
        let start = Instant::now();
        match watch.reached(wanted).await {
            Ok(orders) => orders.iter().for_each(|order| waiters.reply(order)),
            Err(error) => waiters.fail_all(&error),
        }
        tokio::time::sleep(POLL_PAUSE.max(start.elapsed() * PAUSE_PER_POLL)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::model::OrderSummary;
    use crate::port::{Change, Read};

    /// Finds nothing; each query takes `duration`.
    struct EmptyTable {
        duration: Duration,
        polls: AtomicU32,
    }

    impl OrderWatch for EmptyTable {
        async fn reached(&self, _: Vec<WantedVersion>) -> Result<Vec<OrderDetail>, QueryError> {
            self.polls.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(self.duration).await;
            Ok(Vec::new())
        }

        async fn newest(&self, _: Vec<String>, _: u8) -> Result<Read<Vec<Vec<OrderSummary>>>, QueryError> {
            panic!("there are no streams")
        }

        async fn changes_of_customer(
            &self,
            _: &str,
            _: i64,
            _: usize,
        ) -> Result<Read<Vec<OrderSummary>>, QueryError> {
            panic!("there are no streams")
        }

        async fn changes_of_customers(
            &self,
            _: Vec<String>,
            _: Vec<Range<i64>>,
            _: usize,
        ) -> Result<Read<Vec<Change>>, QueryError> {
            panic!("there are no streams")
        }
    }

    /// The number of polls while two requests wait for ten seconds.
    async fn polls_that_take(duration: Duration) -> u32 {
        let watch = Arc::new(EmptyTable { duration, polls: AtomicU32::new(0) });
        let waits = VersionWait::start(Arc::clone(&watch), 2, &CriticalTasks::new(CancellationToken::new()));
        let wanted = |id| WantedVersion { order_id: Uuid::from_u128(id), version: 1, customer_id: None };
        let reach = |id| waits.reach(wanted(id), Duration::from_secs(10), || Ok(Held::uncounted()));
        let (first, second) = tokio::join!(reach(1), reach(2));
        assert!(matches!((first, second), (Err(WaitError::Behind { .. }), Err(WaitError::Behind { .. }))));
        watch.polls.load(Ordering::Relaxed)
    }

    #[tokio::test(start_paused = true)]
    async fn polls_pause_for_the_minimum_however_many_requests_wait() {
        let polls = polls_that_take(Duration::ZERO).await;
        assert!((3_000..=5_001).contains(&polls), "{polls}");
    }

    #[tokio::test(start_paused = true)]
    async fn slow_polls_are_less_frequent() {
        let polls = polls_that_take(Duration::from_millis(100)).await;
        assert!((15..=21).contains(&polls), "{polls}");
    }
}
