//! Waiting until an order has reached a version: reading one's own write.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use service_kit::tasks::CriticalTasks;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use crate::model::OrderSummary;
use crate::port::{OrderWatch, QueryError};

/// How long to let pass between two looks. A projection takes about as long.
const TICK: Duration = Duration::from_millis(2);

/// But at least this many times as long as the last look took, so that looking for many never takes more than a fifth of what
/// a connection can do.
const PAUSE_PER_LOOK: u32 = 4;

/// Why nobody waits any longer.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The order has not reached the version in time.
    #[error("the projection is behind")]
    Behind,
    /// The read model could not be asked.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// Too many wait already.
    #[error("as many requests wait for a projection as may wait")]
    TooMany,
}

/// Looks for all that wait by one query a tick, however many they are, and for nobody when nobody waits.
pub struct VersionWait {
    waiters: Arc<Waiters>,
    slots: Semaphore,
}

#[derive(Default)]
struct Waiters {
    by_order: Mutex<HashMap<Uuid, Vec<Waiter>>>,
    came: Notify,
}

struct Waiter {
    min_version: i32,
    tell: oneshot::Sender<Result<OrderSummary, QueryError>>,
}

impl VersionWait {
    /// Asks `watch`. Up to `max_waiters` wait at once; each holds a connection of a client, and none of the database.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start<W: OrderWatch>(watch: Arc<W>, max_waiters: usize, tasks: &CriticalTasks) -> Self {
        let waiters = Arc::new(Waiters::default());
        tasks.spawn("version wait", look_for_all(watch, Arc::clone(&waiters)));
        Self { waiters, slots: Semaphore::new(max_waiters) }
    }

    /// The order in `min_version` or a later one, as soon as it is there, but within `limit`.
    ///
    /// # Errors
    ///
    /// [`WaitError`].
    pub async fn reach(
        &self,
        order_id: Uuid,
        min_version: i32,
        limit: Duration,
    ) -> Result<OrderSummary, WaitError> {
        if limit.is_zero() {
            return Err(WaitError::Behind);
        }
        let _slot = self.slots.try_acquire().map_err(|_| WaitError::TooMany)?;
        let told = self.waiters.add(order_id, min_version);
        match tokio::time::timeout(limit, told).await {
            Ok(Ok(order)) => Ok(order?),
            _ => Err(WaitError::Behind),
        }
    }
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Vec<Waiter>>> {
        // Nothing that holds it can panic half way.
        self.by_order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, order_id: Uuid, min_version: i32) -> oneshot::Receiver<Result<OrderSummary, QueryError>> {
        let (tell, told) = oneshot::channel();
        self.lock().entry(order_id).or_default().push(Waiter { min_version, tell });
        self.came.notify_one();
        told
    }

    /// The orders that somebody still waits for.
    fn order_ids(&self) -> Vec<Uuid> {
        let mut by_order = self.lock();
        by_order.retain(|_, waiters| {
            waiters.retain(|waiter| !waiter.tell.is_closed());
            !waiters.is_empty()
        });
        by_order.keys().copied().collect()
    }

    /// Tells those who wait for this version of the order or an earlier one.
    fn tell(&self, order: &OrderSummary) {
        let mut by_order = self.lock();
        let Some(waiters) = by_order.get_mut(&order.order_id) else { return };
        for waiter in waiters.extract_if(.., |waiter| waiter.min_version <= order.version) {
            let _gone = waiter.tell.send(Ok(order.clone()));
        }
    }

    /// Nobody is left to wait for something that cannot be asked.
    fn tell_all(&self, error: &QueryError) {
        for waiter in self.lock().drain().flat_map(|(_, waiters)| waiters) {
            let _gone = waiter.tell.send(Err(error.clone()));
        }
    }
}

async fn look_for_all<W: OrderWatch>(watch: Arc<W>, waiters: Arc<Waiters>) {
    loop {
        let order_ids = waiters.order_ids();
        if order_ids.is_empty() {
            waiters.came.notified().await;
            continue;
        }
        let start = Instant::now();
        match watch.find_all(order_ids).await {
            Ok(orders) => orders.iter().for_each(|order| waiters.tell(order)),
            Err(error) => waiters.tell_all(&error),
        }
        tokio::time::sleep(TICK.max(start.elapsed() * PAUSE_PER_LOOK)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::port::{Change, Read};

    /// Finds nothing, and takes its time for it.
    struct NothingThere {
        takes: Duration,
        looks: AtomicU32,
    }

    impl OrderWatch for NothingThere {
        async fn find_all(&self, _: Vec<Uuid>) -> Result<Vec<OrderSummary>, QueryError> {
            self.looks.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(self.takes).await;
            Ok(Vec::new())
        }

        async fn newest(&self, _: Vec<String>, _: u8) -> Result<Read<Vec<Vec<OrderSummary>>>, QueryError> {
            panic!("nobody watches")
        }

        async fn changes_of(&self, _: &str, _: i64, _: usize) -> Result<Read<Vec<OrderSummary>>, QueryError> {
            panic!("nobody watches")
        }

        async fn changes(
            &self,
            _: Vec<String>,
            _: Vec<Range<i64>>,
            _: usize,
        ) -> Result<Read<Vec<Change>>, QueryError> {
            panic!("nobody watches")
        }
    }

    /// How many looks the two who wait for ten seconds cost.
    async fn looks_that_take(takes: Duration) -> u32 {
        let watch = Arc::new(NothingThere { takes, looks: AtomicU32::new(0) });
        let waits = VersionWait::start(Arc::clone(&watch), 2, &CriticalTasks::new(CancellationToken::new()));
        let reach = |id| waits.reach(Uuid::from_u128(id), 1, Duration::from_secs(10));
        let (first, second) = tokio::join!(reach(1), reach(2));
        assert!(matches!((first, second), (Err(WaitError::Behind), Err(WaitError::Behind))));
        watch.looks.load(Ordering::Relaxed)
    }

    #[tokio::test(start_paused = true)]
    async fn looks_are_a_tick_apart_however_many_wait() {
        let looks = looks_that_take(Duration::ZERO).await;
        assert!((3_000..=5_001).contains(&looks), "{looks}");
    }

    #[tokio::test(start_paused = true)]
    async fn looks_that_take_long_come_less_often() {
        let looks = looks_that_take(Duration::from_millis(100)).await;
        assert!((15..=21).contains(&looks), "{looks}");
    }
}
