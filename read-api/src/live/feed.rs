//! The task that reads for all subscribers.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use service_kit::overload::OncePerSecond;
use service_kit::telemetry::chain;
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::SNAPSHOT;
use super::delivery::{Orders, Room};
use super::report::{Reason, Report};
use super::subscriber::{Changes, State, Subscriber, TooSlow};
use crate::model::{OrderSummary, ReadPosition, merged};
use crate::port::{Change, OrderWatch, Read};

/// How often a client hears that the read model can be read.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Streams that have been sent nothing for so long, because the read model cannot be read, are ended.
const FAILING_LIMIT: Duration = Duration::from_secs(10);

/// How long a copy may be behind that does not show the last failover yet. What is read there meanwhile is no news. After this
/// time it counts as what the database is now.
const BEHIND_LIMIT: Duration = Duration::from_secs(2);

/// The pause between two polls is at least this many times as long as the last one took: a slow database is not asked all the
/// time.
const PAUSE_PER_POLL: u32 = 4;

/// But no longer than this, so that heartbeats come when they are expected.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The most orders of all customers that one poll reads. Where more have changed, all clients get snapshots.
const MAX_READ: usize = 50_000;

/// How many customers' snapshots one tick reads. The others wait for the next one.
const MAX_SNAPSHOTS: usize = 64;

/// The shortest time between two log lines about streams that could not be sent all changes.
const REPORT_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Feed<W> {
    watch: Arc<W>,
    tick: Duration,
    arriving: mpsc::Receiver<Subscriber>,
    subscribers: Vec<Subscriber>,
    /// What subscribers that are in step have been sent; `None` where there are none.
    position: Option<ReadPosition>,
    /// Orders that have been read although the transaction that wrote them is unseen at the position: they are read again.
    sent: HashMap<Uuid, i64>,
    room: Room,
    last_heartbeat: Instant,
    last_success: Instant,
    report: Arc<Report>,
    last_report: Instant,
}

impl<W: OrderWatch> Feed<W> {
    pub(super) fn new(
        watch: Arc<W>,
        tick: Duration,
        arriving: mpsc::Receiver<Subscriber>,
        room: Room,
        report: Arc<Report>,
    ) -> Self {
        let now = Instant::now();
        Self {
            watch,
            tick,
            arriving,
            subscribers: Vec::new(),
            position: None,
            sent: HashMap::new(),
            room,
            last_heartbeat: now,
            last_success: now,
            report,
            last_report: now,
        }
    }

    pub(super) async fn run(mut self) {
        while self.wait_for_subscribers().await {
            let start = Instant::now();
            self.poll().await;
            self.send_snapshots().await;
            if self.last_report.elapsed() >= REPORT_EVERY {
                self.last_report = Instant::now();
                self.report.log();
            }
            let pause = (start.elapsed() * PAUSE_PER_POLL).min(LONGEST_PAUSE);
            tokio::time::sleep(self.tick.max(pause)).await;
        }
    }

    /// Takes in new subscribers, and waits where there are none. `false` once none can come any more.
    async fn wait_for_subscribers(&mut self) -> bool {
        self.subscribers.retain(|subscriber| !subscriber.is_gone());
        if self.subscribers.is_empty() {
            let Some(first) = self.arriving.recv().await else { return false };
            self.forget();
            (self.last_success, self.last_heartbeat) = (Instant::now(), Instant::now());
            self.subscribers.push(first);
        }
        while let Ok(next) = self.arriving.try_recv() {
            self.subscribers.push(next);
        }
        true
    }

    fn forget(&mut self) {
        self.position = None;
        self.sent.clear();
    }

    async fn poll(&mut self) {
        let customers: HashSet<_> = self.subscribers.iter().map(|one| one.customer_id.clone()).collect();
        match self.watch.changes(customers.into_iter().collect(), self.unseen(), MAX_READ + 1).await {
            Ok(read) => self.receive(read),
            Err(error) => {
                static UNREAD: OncePerSecond = OncePerSecond::new();
                if let Some(times) = UNREAD.count() {
                    tracing::warn!(times, error = chain(&error), "live updates cannot be read");
                }
                if self.last_success.elapsed() > FAILING_LIMIT {
                    self.subscribers.clear();
                }
            }
        }
    }

    /// What some subscriber may not have been sent. A new one may have read before the last poll, or on a server that was behind.
    fn unseen(&self) -> Vec<Range<i64>> {
        let new = self.subscribers.iter().filter_map(Subscriber::own_position);
        merged(new.chain(&self.position).flat_map(ReadPosition::unseen).collect())
    }

    fn receive(&mut self, Read { position, found }: Read<Vec<Change>>) {
        let is_recent = self.last_success.elapsed() <= BEHIND_LIMIT;
        let mut known = self.subscribers.iter().filter_map(Subscriber::own_position).chain(&self.position);
        if is_recent && known.any(|known| position.history.is_older_than(known.history)) {
            return;
        }
        self.last_success = Instant::now();
        let continues = |read: &ReadPosition| read.mark().continues_in(position.history);
        let has_turned = self.position.as_ref().is_some_and(|known| !continues(known));
        for subscriber in &mut self.subscribers {
            match &subscriber.state {
                State::InStep if has_turned => subscriber.lose(Reason::NewHistory),
                State::New(own) if !continues(own) => subscriber.lose(Reason::NewHistory),
                State::InStep | State::New(_) if found.len() > MAX_READ => {
                    subscriber.lose(Reason::TooManyChanges);
                }
                _ => {}
            }
        }
        if has_turned {
            self.forget();
        }
        self.send(position, found);
    }

    fn send(&mut self, position: ReadPosition, found: Vec<Change>) {
        // A copy that is behind shows less than was read before: marks stay where they are, and a new subscriber stays new, as it
        // may miss what the other copy had shown before this poll.
        let is_behind = self.position.as_ref().is_some_and(|known| position.is_behind(known));
        let is_heartbeat_due = self.last_heartbeat.elapsed() >= HEARTBEAT;
        if is_heartbeat_due {
            self.last_heartbeat = Instant::now();
        }
        let by_customer = self.by_customer(found);
        let Self { subscribers, room, report, .. } = self;
        subscribers.retain_mut(|subscriber| {
            if subscriber.has_all() {
                subscriber.mark.history = position.history;
            }
            let changes = by_customer.get(subscriber.customer_id.as_str());
            let mut sent = changes.map_or(Ok(()), |changes| changes.send_to(subscriber, room));
            if !is_behind && subscriber.has_all() {
                subscriber.mark = subscriber.mark.advanced_to(position.mark());
                subscriber.state = State::InStep;
            }
            if sent.is_ok() && is_heartbeat_due {
                sent = subscriber.send_heartbeat();
            }
            keep(subscriber, &sent, report)
        });
        let changes = by_customer.into_values().flat_map(|changes| changes.all);
        self.sent.extend(changes.map(|(transaction, order)| (order.order_id, transaction)));
        if !is_behind {
            self.position = Some(position);
        }
        let position = &self.position;
        let is_read_again = |transaction| position.as_ref().is_some_and(|seen| seen.is_unseen(transaction));
        self.sent.retain(|_, transaction| is_read_again(*transaction));
        if self.sent.len() > MAX_READ {
            // Then they are sent twice, which a client must expect anyway.
            self.sent.clear();
        }
    }

    fn by_customer(&self, found: Vec<Change>) -> HashMap<Arc<str>, CustomerChanges> {
        let mut by_customer: HashMap<Arc<str>, CustomerChanges> = HashMap::new();
        for Change { transaction, order } in found {
            let changes = by_customer.entry(Arc::clone(&order.customer_id)).or_default();
            changes.all.push((transaction, Arc::new(order)));
        }
        let Some(position) = &self.position else { return by_customer };
        for changes in by_customer.values_mut() {
            let is_news = |(transaction, order): &&(i64, Arc<OrderSummary>)| {
                position.is_unseen(*transaction) && self.sent.get(&order.order_id) != Some(transaction)
            };
            let news = changes.all.iter().filter(is_news).map(|(_, order)| Arc::clone(order)).collect();
            changes.in_step = Changes::of(news, &self.room);
        }
        by_customer
    }

    /// The customers whose subscribers have waited longest for a snapshot. Where the first in the list were served, those behind
    /// them could wait for ever: a subscriber may need another one a second later.
    fn next_snapshots(&self) -> Vec<String> {
        let mut waiting: Vec<_> =
            self.subscribers.iter().filter(|one| one.needs_snapshot().is_some()).collect();
        waiting.sort_by_key(|one| one.lost_at());
        let mut chosen = HashSet::new();
        let customers = waiting.into_iter().map(|one| one.customer_id.as_str());
        let customers = customers.filter(|customer| chosen.insert(*customer)).take(MAX_SNAPSHOTS);
        customers.map(str::to_owned).collect()
    }

    /// Sends snapshots to subscribers that could not be sent all changes.
    async fn send_snapshots(&mut self) {
        let customers = self.next_snapshots();
        if customers.is_empty() {
            return;
        }
        match self.watch.newest(customers.clone(), SNAPSHOT).await {
            Ok(Read { position, found }) => {
                let is_old = |known: &ReadPosition| position.history.is_older_than(known.history);
                if self.position.as_ref().is_some_and(is_old) {
                    return;
                }
                let snapshots = found.into_iter().map(Orders::of_snapshot);
                let snapshots: HashMap<_, _> = customers.into_iter().zip(snapshots).collect();
                let report = &self.report;
                self.subscribers.retain_mut(|subscriber| {
                    let Some(reason) = subscriber.needs_snapshot() else { return true };
                    let Some(orders) = snapshots.get(&subscriber.customer_id) else { return true };
                    report.snapshot(reason);
                    let sent = subscriber.send_snapshot(orders, &position);
                    keep(subscriber, &sent, report)
                });
            }
            Err(error) => {
                static UNREAD: OncePerSecond = OncePerSecond::new();
                if let Some(times) = UNREAD.count() {
                    tracing::warn!(times, error = chain(&error), "live snapshots cannot be read");
                }
            }
        }
    }
}

/// Whether the subscriber stays. The end of its queue ends the stream once the client has read what is in it.
fn keep(subscriber: &Subscriber, sent: &Result<(), TooSlow>, report: &Report) -> bool {
    if sent.is_err() && !subscriber.is_gone() {
        report.slow();
    }
    sent.is_ok()
}

/// What has changed of one customer's orders.
#[derive(Default)]
struct CustomerChanges {
    /// All that was read, with the transaction that wrote it.
    all: Vec<(i64, Arc<OrderSummary>)>,
    /// What subscribers have not been sent that are in step. They share it.
    in_step: Changes,
}

impl CustomerChanges {
    fn send_to(&self, subscriber: &mut Subscriber, room: &Room) -> Result<(), TooSlow> {
        let Some(position) = subscriber.own_position() else {
            return if subscriber.has_all() { subscriber.send_changes(&self.in_step) } else { Ok(()) };
        };
        let unseen = self.all.iter().filter(|(transaction, _)| position.is_unseen(*transaction));
        let unseen = unseen.map(|(_, order)| Arc::clone(order)).collect();
        subscriber.send_changes(&Changes::of(unseen, room))
    }
}
