//! The task that polls for all subscribers.

mod snapshots;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use service_kit::overload::OncePerSecond;
use service_kit::telemetry::chain;
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::HEARTBEAT;
use super::changes::CustomerChanges;
use super::delivery::QueueBudget;
use super::report::{Reason, Report};
use super::subscriber::{State, Subscriber, TooSlow};
use crate::model::{ReadPosition, merged};
use crate::port::{Change, OrderWatch, Read};

/// Streams end if the read model could not be read for this long.
const FAILING_LIMIT: Duration = Duration::from_secs(10);

/// After a failover a standby may lag. Its reads are ignored until this long after the last good poll. Later ones are
/// accepted, and clients get snapshots.
const BEHIND_LIMIT: Duration = Duration::from_secs(2);

/// The pause between two polls is at least this many times the duration of the last one, to spare a slow database.
const PAUSE_PER_POLL: u32 = 4;

/// The maximum of that pause, so that heartbeats come in time.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The maximum number of changes that one poll returns, for all customers with streams together. Beyond it, all clients
/// get snapshots.
const MAX_READ: usize = 50_000;

/// The minimum time between two log lines about interrupted streams.
const REPORT_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Feed<W> {
    watch: Arc<W>,
    live_poll: Duration,
    new_subscribers: mpsc::Receiver<Subscriber>,
    subscribers: Vec<Subscriber>,
    /// The read position of caught-up subscribers; `None` if there are none.
    position: Option<ReadPosition>,
    /// Orders that have been sent although their transaction is unseen at `position`: the next poll reads them again.
    already_sent: HashMap<Uuid, i64>,
    budget: QueueBudget,
    last_heartbeat: Instant,
    last_success: Instant,
    report: Arc<Report>,
    last_report: Instant,
}

impl<W: OrderWatch> Feed<W> {
    pub(super) fn new(
        watch: Arc<W>,
        live_poll: Duration,
        new_subscribers: mpsc::Receiver<Subscriber>,
        budget: QueueBudget,
        report: Arc<Report>,
    ) -> Self {
        let now = Instant::now();
        Self {
            watch,
            live_poll,
            new_subscribers,
            subscribers: Vec::new(),
            position: None,
            already_sent: HashMap::new(),
            budget,
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
            tokio::time::sleep(self.live_poll.max(pause)).await;
        }
    }

    /// Adds new subscribers; waits for one if there are none. Returns `false` once no more can come.
    async fn wait_for_subscribers(&mut self) -> bool {
        self.subscribers.retain(|subscriber| !subscriber.is_closed());
        if self.subscribers.is_empty() {
            let Some(first) = self.new_subscribers.recv().await else { return false };
            self.reset_position();
            (self.last_success, self.last_heartbeat) = (Instant::now(), Instant::now());
            self.subscribers.push(first);
        }
        while let Ok(next) = self.new_subscribers.try_recv() {
            self.subscribers.push(next);
        }
        true
    }

    fn reset_position(&mut self) {
        self.position = None;
        self.already_sent.clear();
    }

    async fn poll(&mut self) {
        let customers: HashSet<_> = self.subscribers.iter().map(|one| one.customer_id.clone()).collect();
        match self
            .watch
            .changes_of_customers(customers.into_iter().collect(), self.unseen(), MAX_READ + 1)
            .await
        {
            Ok(read) => self.receive(read),
            Err(error) => {
                static FAILED: OncePerSecond = OncePerSecond::new();
                if let Some(times) = FAILED.count() {
                    tracing::warn!(
                        times,
                        error = chain(&error),
                        "live updates: the query for changes failed"
                    );
                }
                if self.last_success.elapsed() > FAILING_LIMIT {
                    self.subscribers.clear();
                }
            }
        }
    }

    /// The transactions to read. A new subscriber may lack changes that the feed has already read: it read its position
    /// before the last poll, or on a lagging server. So the transactions that are unseen at its own position are read,
    /// too.
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
        let continues = |read: &ReadPosition| read.resume_point().continues_in(position.history);
        let is_new_history = self.position.as_ref().is_some_and(|known| !continues(known));
        for subscriber in &mut self.subscribers {
            match &subscriber.state {
                State::CaughtUp if is_new_history => subscriber.require_snapshot(Reason::NewHistory),
                State::New(own) if !continues(own) => subscriber.require_snapshot(Reason::NewHistory),
                State::CaughtUp | State::New(_) if found.len() > MAX_READ => {
                    subscriber.require_snapshot(Reason::TooManyChanges);
                }
                _ => {}
            }
        }
        if is_new_history {
            self.reset_position();
        }
        self.send(position, found);
    }

    fn send(&mut self, position: ReadPosition, found: Vec<Change>) {
        // A lagging server shows less than the last poll did. Then resume points stay, and new subscribers stay new:
        // they may miss changes that another server had shown before.
        let is_behind = self.position.as_ref().is_some_and(|known| position.is_behind(known));
        let is_heartbeat_due = self.last_heartbeat.elapsed() >= HEARTBEAT;
        if is_heartbeat_due {
            self.last_heartbeat = Instant::now();
        }
        let by_customer =
            CustomerChanges::by_customer(found, self.position.as_ref(), &self.already_sent, &self.budget);
        let Self { subscribers, budget, report, .. } = self;
        subscribers.retain_mut(|subscriber| {
            if !subscriber.needs_snapshot() {
                subscriber.resume_point.history = position.history;
            }
            let changes = by_customer.get(subscriber.customer_id.as_str());
            let mut sent = changes.map_or(Ok(()), |changes| changes.send_to(subscriber, budget));
            if !is_behind && !subscriber.needs_snapshot() {
                subscriber.resume_point = subscriber.resume_point.advanced_to(position.resume_point());
                subscriber.state = State::CaughtUp;
            }
            if sent.is_ok() && is_heartbeat_due {
                sent = subscriber.send_heartbeat();
            }
            keep(subscriber, &sent, report)
        });
        let changes = by_customer.into_values().flat_map(|changes| changes.all);
        self.already_sent.extend(changes.map(|(transaction, order)| (order.order_id, transaction)));
        if !is_behind {
            self.position = Some(position);
        }
        let position = &self.position;
        let is_read_again = |transaction| position.as_ref().is_some_and(|seen| seen.is_unseen(transaction));
        self.already_sent.retain(|_, transaction| is_read_again(*transaction));
        if self.already_sent.len() > MAX_READ {
            // The orders are then sent twice, which clients must expect anyway.
            self.already_sent.clear();
        }
    }
}

/// Whether the subscriber stays. Dropping it closes its queue; the stream ends once the client has read what is queued.
fn keep(subscriber: &Subscriber, sent: &Result<(), TooSlow>, report: &Report) -> bool {
    if sent.is_err() && !subscriber.is_closed() {
        report.slow();
    }
    sent.is_ok()
}
