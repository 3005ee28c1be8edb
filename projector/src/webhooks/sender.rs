//! Sends the deliveries of one endpoint: leases them, sends them without any transaction, records the results.
//!
//! One task owns all of this; requests run beside it. While it records results and leases more, further requests end,
//! and their results share the next transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use futures_util::FutureExt;
use service_kit::database::{Database, DatabaseError};
use service_kit::overload::OncePerSecond;
use service_kit::telemetry::chain;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::attempt::{self, Attempt};
use super::client::WebhookClient;
use super::delivery::{
    self, Backlogs, EndpointState, Finished, FinishedAttempt, Leased, Limits, PausedReason, Take,
};
use super::endpoint::Endpoint;
use super::in_flight::{Capacity, Hold, Reservation};
use super::lease::{LEASE_MARGIN, Lease, Moment};
use super::metrics::EndpointMetrics;
use super::retry::DeliveryPolicy;
use super::streak::Failures;
use super::wake::{Patience, Wake};

/// How long requests may still take after the stop signal. The events of those that take longer are sent again when
/// their leases end.
const STOP_LIMIT: Duration = Duration::from_secs(3);
/// The pause after the database failed.
const OUTAGE_PAUSE: Duration = Duration::from_millis(250);

/// What the senders of a process share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) database: Database,
    pub(crate) client: WebhookClient,
    pub(crate) policy: DeliveryPolicy,
    /// Also what feeders know of what waits.
    pub(crate) backlogs: Backlogs,
    /// `WEBHOOK_PARALLEL`.
    pub(crate) in_flight_max: usize,
    /// Limits the requests of the process.
    pub(crate) capacity: Capacity,
}

impl Shared {
    fn limits(&self, reserved: &Reservation) -> Limits {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        Limits {
            wanted: number(reserved.wanted()),
            max_bytes: number(reserved.max_bytes()),
            in_flight_max: number(self.in_flight_max),
            failures_until_probes: self.policy.failures_until_probes,
            lease: self.client.timeout() + LEASE_MARGIN,
        }
    }
}

/// Sends the deliveries of one endpoint.
pub(crate) struct Sender {
    shared: Shared,
    endpoint: watch::Receiver<Arc<Endpoint>>,
    metrics: EndpointMetrics,
    wake: Arc<Wake>,
    patience: Patience,
    stop: CancellationToken,
    in_flight: JoinSet<Option<FinishedAttempt>>,
    /// Results that are not recorded yet.
    finished: Vec<FinishedAttempt>,
    failures: Failures,
}

impl Sender {
    pub(crate) fn new(
        shared: Shared,
        endpoint: watch::Receiver<Arc<Endpoint>>,
        metrics: EndpointMetrics,
        wake: Arc<Wake>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            shared,
            endpoint,
            metrics,
            wake,
            patience: Patience::new(Instant::now()),
            stop,
            in_flight: JoinSet::new(),
            finished: Vec::new(),
            failures: Failures::default(),
        }
    }

    /// Runs until the stop signal. Then it leases no more, and waits a moment for requests in flight.
    pub(crate) async fn run(mut self) {
        let stop = self.stop.clone();
        let stop_limit = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP_LIMIT).await;
        };
        tokio::select! {
            () = self.send_until_stopped() => {}
            () = stop_limit => {}
        }
    }

    async fn send_until_stopped(&mut self) {
        loop {
            let recorded = self.record_finished().await;
            if self.stop.is_cancelled() && self.in_flight.is_empty() && recorded.is_ok() {
                return;
            }
            let started = if recorded.is_ok() && !self.stop.is_cancelled() {
                self.start_requests().await
            } else {
                Ok(())
            };
            if let Err(error) = recorded.and(started) {
                log_outage(&error);
                tokio::time::sleep(OUTAGE_PAUSE).await;
                continue;
            }
            self.wait().await;
        }
    }

    /// Waits until a request has ended or something may be due.
    async fn wait(&mut self) {
        tokio::select! {
            Some(ended) = self.in_flight.join_next() => self.ended(ended.ok().flatten()),
            () = self.patience.wait(&self.wake) => {}
            () = self.stop.cancelled(), if !self.stop.is_cancelled() => {}
        }
        // All that ended meanwhile are recorded together.
        while let Some(ended) = self.in_flight.try_join_next() {
            self.ended(ended.ok().flatten());
        }
    }

    fn ended(&mut self, attempt: Option<FinishedAttempt>) {
        if let Some(attempt) = attempt {
            self.failures.count(&attempt, Instant::now());
            self.finished.push(attempt);
        }
    }

    /// Records the results so far. If the database fails, they are kept.
    async fn record_finished(&mut self) -> Result<(), DatabaseError> {
        if self.finished.is_empty() {
            return Ok(());
        }
        let (id, policy, finished) = (self.endpoint.borrow().id, self.shared.policy, self.finished.clone());
        let (streak, is_crowded) =
            (self.failures.streak(Instant::now()), self.shared.backlogs.is_crowded(id));
        let recorded = self.shared.database.run(move |connection| {
            async move { delivery::finish(connection, id, &finished, streak, is_crowded, &policy).await }
                .boxed()
        });
        let recorded = recorded.await?;
        self.report(id, &recorded, is_crowded);
        self.finished.clear();
        if recorded.state.is_some() {
            self.failures.recorded();
        }
        Ok(())
    }

    fn report(&self, id: i64, recorded: &Finished, is_crowded: bool) {
        if let Some(EndpointState::Paused(reason)) = recorded.state
            && reason != PausedReason::Operator
        {
            tracing::error!(
                webhook.endpoint = id,
                webhook.paused_reason = reason.name(),
                "webhook endpoint paused: nothing more is sent to it"
            );
        }
        if let Some(first) = recorded.parked.first() {
            self.metrics.parked(recorded.parked.len());
            let first = self.finished.iter().find(|attempt| attempt.position == *first);
            let fields = first.map(|attempt| attempt.fields.clone()).unwrap_or_default();
            tracing::error!(
                webhook.endpoint = id,
                webhook.crowded = is_crowded,
                event.positions = ?recorded.parked,
                order.id = fields.order_id(),
                order.version = fields.version(),
                trace_id = fields.trace_id(),
                span_id = fields.span_id(),
                "events parked that a webhook endpoint has refused for too long"
            );
        }
    }

    /// Leases what is due, up to the limits, and starts to send it.
    async fn start_requests(&mut self) -> Result<(), DatabaseError> {
        let free = self.shared.in_flight_max.saturating_sub(self.in_flight.len());
        let Some(room) = self.shared.capacity.room(free, self.in_flight.is_empty()) else { return Ok(()) };
        let endpoint = Arc::clone(&self.endpoint.borrow());
        let (id, shared) = (endpoint.id, self.shared.clone());
        let taken = self.shared.database.run(move |connection| {
            async move {
                // Not before: else all that wait for a connection would hold memory.
                let Some(reserved) = room.reserve() else { return Ok(None) };
                let limits = shared.limits(&reserved);
                // Before the lease begins: so it ends later than this process thinks.
                let lease = Lease::new(Moment::now());
                Ok(Some((delivery::take(connection, id, limits, &shared.backlogs).await?, reserved, lease)))
            }
            .boxed()
        });
        let (taken, mut reserved, lease) = match taken.await? {
            Some((Take::Taken(taken), reserved, lease)) => (taken, reserved, lease),
            Some((Take::Locked, ..)) => {
                self.patience.locked();
                return Ok(());
            }
            Some((Take::NotNow, ..)) | None => return Ok(()),
        };
        self.failures.leased(taken.succeeded_at);
        self.patience.leased(taken.deliveries.len(), Instant::now());
        for leased in taken.deliveries {
            let hold = reserved.hold(&leased.payload);
            self.start(Arc::clone(&endpoint), leased, lease, hold);
        }
        Ok(())
    }

    fn start(&mut self, endpoint: Arc<Endpoint>, leased: Leased, lease: Lease, hold: Hold) {
        let (client, metrics) = (self.shared.client.clone(), self.metrics.clone());
        self.in_flight.spawn(async move {
            let request = async { attempt::send(&client, &endpoint, leased, Utc::now()).await };
            let Attempt { finished, outcome } = lease.start(Moment::now(), request)?.await;
            metrics.attempt(outcome, finished.latency);
            drop(hold);
            Some(finished)
        });
    }
}

fn log_outage(error: &DatabaseError) {
    static FAILED: OncePerSecond = OncePerSecond::new();
    if let Some(times) = FAILED.count() {
        tracing::warn!(times, error = chain(error), "deliveries cannot be leased or recorded");
    }
}
