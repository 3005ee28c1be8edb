//! The task that asks for everybody who watches.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;
use uuid::Uuid;

use super::{LiveEvent, MAX_CHANGES, News, later};
use crate::model::{Mark, OrderSummary};
use crate::port::{OrderWatch, Read};

/// How often a client is told that nothing has happened.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Streams that have been told nothing for so long, because the read model cannot be read, are ended.
const FAILING_LIMIT: Duration = Duration::from_secs(10);

/// The pause between two questions is at least this many times as long as the last answer took: what was written since a long
/// transaction began is read again and again.
const PAUSE_PER_ANSWER: u32 = 4;

/// But no longer than this, so that heartbeats come when they are expected.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A client that watches a customer.
pub(super) struct Subscriber {
    customer_id: String,
    /// What it has been told up to.
    mark: Mark,
    /// It has not been told anything yet but what it began with.
    is_new: bool,
    tell: mpsc::Sender<Vec<LiveEvent>>,
    _slot: OwnedSemaphorePermit,
}

impl Subscriber {
    pub(super) fn new(
        customer_id: String,
        mark: Mark,
        tell: mpsc::Sender<Vec<LiveEvent>>,
        slot: OwnedSemaphorePermit,
    ) -> Self {
        Self { customer_id, mark, is_new: true, tell, _slot: slot }
    }
}

pub(super) struct Feed<W> {
    watch: Arc<W>,
    tick: Duration,
    came: mpsc::Receiver<Subscriber>,
    subscribers: Vec<Subscriber>,
    /// How far the last answer had read; `None` before the first.
    mark: Option<Mark>,
    /// The versions in the last answer. A transaction that still runs holds the mark back, and what is behind it comes again.
    told: HashMap<Uuid, i32>,
    last_heartbeat: Instant,
    last_success: Instant,
}

impl<W: OrderWatch> Feed<W> {
    pub(super) fn new(watch: Arc<W>, tick: Duration, came: mpsc::Receiver<Subscriber>) -> Self {
        let now = Instant::now();
        Self {
            watch,
            tick,
            came,
            subscribers: Vec::new(),
            mark: None,
            told: HashMap::new(),
            last_heartbeat: now,
            last_success: now,
        }
    }

    pub(super) async fn run(mut self) {
        while self.wait_for_subscribers().await {
            let start = Instant::now();
            self.look().await;
            let pause = (start.elapsed() * PAUSE_PER_ANSWER).min(LONGEST_PAUSE);
            tokio::time::sleep(self.tick.max(pause)).await;
        }
    }

    /// Takes in who has come, and waits where nobody watches. `false` once nobody can come any more.
    async fn wait_for_subscribers(&mut self) -> bool {
        self.subscribers.retain(|subscriber| !subscriber.tell.is_closed());
        if self.subscribers.is_empty() {
            let Some(first) = self.came.recv().await else { return false };
            (self.mark, self.last_success, self.last_heartbeat) = (None, Instant::now(), Instant::now());
            self.subscribers.push(first);
        }
        while let Ok(next) = self.came.try_recv() {
            self.subscribers.push(next);
        }
        true
    }

    /// One tick: asks what has changed, and tells it.
    async fn look(&mut self) {
        // Who is new may have begun before the last look, and was not told what that saw.
        let new = self.subscribers.iter().filter(|subscriber| subscriber.is_new).map(|one| one.mark.settled);
        let since = new.chain(self.mark.map(|mark| mark.settled)).min().unwrap_or_default();
        let customers: HashSet<_> = self.subscribers.iter().map(|one| one.customer_id.clone()).collect();
        match self.watch.changes(customers.into_iter().collect(), since).await {
            Ok(read) => self.tell(read),
            Err(error) => {
                tracing::warn!(error = runtime::telemetry::chain(&error), "live updates cannot be read");
                if self.last_success.elapsed() > FAILING_LIMIT {
                    self.subscribers.clear();
                }
            }
        }
    }

    fn tell(&mut self, Read { mark, orders }: Read) {
        // On another turn of history a mark of the old one says nothing: all begin anew.
        self.subscribers.retain(|subscriber| subscriber.mark.history == mark.history);
        let now = Instant::now();
        let is_heartbeat_due = now - self.last_heartbeat >= HEARTBEAT;
        if is_heartbeat_due {
            self.last_heartbeat = now;
        }
        self.last_success = now;
        let mark =
            self.mark.filter(|last| last.history == mark.history).map_or(mark, |last| later(last, mark));
        self.mark = Some(mark);

        let told: HashMap<_, _> = orders.iter().map(|order| (order.order_id, order.version)).collect();
        let told_before = std::mem::replace(&mut self.told, told);
        let is_known = |order: &OrderSummary| told_before.get(&order.order_id) == Some(&order.version);
        let mut by_customer: HashMap<Arc<str>, Vec<(Arc<OrderSummary>, bool)>> = HashMap::new();
        for order in orders {
            let known = is_known(&order);
            by_customer.entry(Arc::clone(&order.customer_id)).or_default().push((Arc::new(order), known));
        }
        self.subscribers.retain_mut(|subscriber| {
            let changes =
                by_customer.get(subscriber.customer_id.as_str()).map(Vec::as_slice).unwrap_or_default();
            subscriber.tell(changes, mark, is_heartbeat_due)
        });
    }
}

impl Subscriber {
    /// Tells the changes, each with whether it was told to the others at the last tick; `false` if the client cannot keep up.
    fn tell(&mut self, changes: &[(Arc<OrderSummary>, bool)], mark: Mark, heartbeat: bool) -> bool {
        let news = changes.iter().filter(|(_, known)| self.is_new || !known);
        let news = news.map(|(order, _)| News::Order(Arc::clone(order)));
        // Until all of them have been told, the client is where it was.
        let mut batch: Vec<_> = news.map(|news| LiveEvent { mark: self.mark, news }).collect();
        (self.mark, self.is_new) = (later(self.mark, mark), false);
        if heartbeat {
            batch.push(LiveEvent { mark: self.mark, news: News::Heartbeat });
        }
        batch.is_empty() || (batch.len() <= MAX_CHANGES && self.tell.try_send(batch).is_ok())
    }
}
