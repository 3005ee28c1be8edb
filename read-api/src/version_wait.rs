//! Waiting until an order has reached a version, so that clients can read their own writes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use service_kit::tasks::CriticalTasks;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use crate::model::OrderSummary;
use crate::port::{OrderWatch, QueryError};

/// The minimum pause between two polls. Projecting an event takes about as long.
const POLL_PAUSE: Duration = Duration::from_millis(2);

/// The pause is at least this many times the duration of the last poll, so that polling never takes more than a fifth
/// of one connection's time.
const PAUSE_PER_POLL: u32 = 4;

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
    /// The maximum number of requests already wait.
    #[error("too many requests are waiting for a version of an order")]
    TooMany,
}

/// Polls for all waiting requests with one query, and not at all while no request waits.
pub struct VersionWait {
    waiters: Arc<Waiters>,
    slots: Semaphore,
}

#[derive(Default)]
struct Waiters {
    by_order: Mutex<HashMap<Uuid, Vec<Waiter>>>,
    added: Notify,
}

struct Waiter {
    min_version: i32,
    reply: oneshot::Sender<Result<OrderSummary, QueryError>>,
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
        Self { waiters, slots: Semaphore::new(max_waiters) }
    }

    /// Returns the order as soon as it has `min_version` or a later version; waits up to `limit`.
    pub async fn reach(
        &self,
        order_id: Uuid,
        min_version: i32,
        limit: Duration,
    ) -> Result<OrderSummary, WaitError> {
        if limit.is_zero() {
            return Err(WaitError::Behind { min_version });
        }
        let _slot = self.slots.try_acquire().map_err(|_| WaitError::TooMany)?;
        let reply = self.waiters.add(order_id, min_version);
        match tokio::time::timeout(limit, reply).await {
            Ok(Ok(order)) => Ok(order?),
            _ => Err(WaitError::Behind { min_version }),
        }
    }
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Vec<Waiter>>> {
        // No panic can leave the map half changed.
        self.by_order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, order_id: Uuid, min_version: i32) -> oneshot::Receiver<Result<OrderSummary, QueryError>> {
        let (reply, receiver) = oneshot::channel();
        self.lock().entry(order_id).or_default().push(Waiter { min_version, reply });
        self.added.notify_one();
        receiver
    }

    /// The orders that requests still wait for. Removes waiters whose requests have ended.
    fn order_ids(&self) -> Vec<Uuid> {
        let mut by_order = self.lock();
        by_order.retain(|_, waiters| {
            waiters.retain(|waiter| !waiter.reply.is_closed());
            !waiters.is_empty()
        });
        by_order.keys().copied().collect()
    }

    /// Replies to the waiters for this version of the order or an earlier one.
    fn reply(&self, order: &OrderSummary) {
        let mut by_order = self.lock();
        let Some(waiters) = by_order.get_mut(&order.order_id) else { return };
        for waiter in waiters.extract_if(.., |waiter| waiter.min_version <= order.version) {
            let _closed = waiter.reply.send(Ok(order.clone()));
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
        let order_ids = waiters.order_ids();
        if order_ids.is_empty() {
            waiters.added.notified().await;
            continue;
        }
        let start = Instant::now();
        match watch.find_all(order_ids).await {
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
    use crate::port::{Change, Read};

    /// Finds nothing; each query takes `duration`.
    struct EmptyTable {
        duration: Duration,
        polls: AtomicU32,
    }

    impl OrderWatch for EmptyTable {
        async fn find_all(&self, _: Vec<Uuid>) -> Result<Vec<OrderSummary>, QueryError> {
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
        let reach = |id| waits.reach(Uuid::from_u128(id), 1, Duration::from_secs(10));
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
