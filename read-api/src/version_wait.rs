//! Waiting until an order has reached a version: reading one's own write.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore, oneshot};
use uuid::Uuid;

use crate::model::OrderSummary;
use crate::port::{OrderWatch, QueryError};

/// How long to let pass between two looks: at first less than a projection takes.
const SHORTEST_TICK: Duration = Duration::from_millis(1);
/// And later, when nobody has come for a while: a projection that is behind is asked less often.
const LONGEST_TICK: Duration = Duration::from_millis(10);

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
    waiting: Mutex<Waiting>,
    came: Notify,
}

#[derive(Default)]
struct Waiting {
    by_order: HashMap<Uuid, Vec<Waiter>>,
    last_came: Option<Instant>,
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
    pub fn start<W: OrderWatch>(watch: Arc<W>, max_waiters: usize) -> Self {
        let waiters = Arc::new(Waiters::default());
        tokio::spawn(look_for_all(watch, Arc::clone(&waiters)));
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
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing that holds it can panic half way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, order_id: Uuid, min_version: i32) -> oneshot::Receiver<Result<OrderSummary, QueryError>> {
        let (tell, told) = oneshot::channel();
        let mut waiting = self.lock();
        waiting.by_order.entry(order_id).or_default().push(Waiter { min_version, tell });
        waiting.last_came = Some(Instant::now());
        drop(waiting);
        self.came.notify_one();
        told
    }

    /// The orders that somebody still waits for.
    fn order_ids(&self) -> Vec<Uuid> {
        let by_order = &mut self.lock().by_order;
        by_order.retain(|_, waiters| {
            waiters.retain(|waiter| !waiter.tell.is_closed());
            !waiters.is_empty()
        });
        by_order.keys().copied().collect()
    }

    /// Tells those who wait for this version of the order or an earlier one.
    fn tell(&self, order: &OrderSummary) {
        let mut waiting = self.lock();
        let Some(waiters) = waiting.by_order.get_mut(&order.order_id) else { return };
        for waiter in waiters.extract_if(.., |waiter| waiter.min_version <= order.version) {
            let _gone = waiter.tell.send(Ok(order.clone()));
        }
    }

    /// The pause until the next look: a quarter of the time since somebody came, and so no more than that of anybody's wait.
    fn tick(&self) -> Duration {
        let since = self.lock().last_came.map_or(LONGEST_TICK, |came| came.elapsed());
        (since / 4).clamp(SHORTEST_TICK, LONGEST_TICK)
    }

    /// Nobody is left to wait for something that cannot be asked.
    fn tell_all(&self, error: &QueryError) {
        for waiter in self.lock().by_order.drain().flat_map(|(_, waiters)| waiters) {
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
        match watch.find_all(order_ids).await {
            Ok(orders) => orders.iter().for_each(|order| waiters.tell(order)),
            Err(error) => waiters.tell_all(&error),
        }
        tokio::time::sleep(waiters.tick()).await;
    }
}
