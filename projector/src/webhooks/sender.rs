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
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::attempt::{self, Attempt};
use super::client::WebhookClient;
use super::delivery::{self, EndpointState, Finished, FinishedAttempt, Leased, Limits};
use super::endpoint::Endpoint;
use super::metrics::EndpointMetrics;
use super::retry::DeliveryPolicy;
use super::wake::{Patience, Wake};

/// A lease lasts this much longer than a request may take, so that its result can be recorded.
pub(crate) const LEASE_MARGIN: Duration = Duration::from_secs(5);
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
    /// `WEBHOOK_PARALLEL`.
    pub(crate) in_flight_max: usize,
    /// Limits the requests of the process.
    pub(crate) permits: Arc<Semaphore>,
}

/// Sends the deliveries of one endpoint.
pub(crate) struct Sender {
    shared: Shared,
    endpoint: watch::Receiver<Arc<Endpoint>>,
    metrics: EndpointMetrics,
    wake: Arc<Wake>,
    patience: Patience,
    stop: CancellationToken,
    in_flight: JoinSet<FinishedAttempt>,
    /// Results that are not recorded yet.
    finished: Vec<FinishedAttempt>,
    failures_in_a_row: i32,
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
            failures_in_a_row: 0,
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
            Some(ended) = self.in_flight.join_next() => self.finished.extend(ended.ok()),
            () = self.patience.wait(&self.wake) => {}
            () = self.stop.cancelled(), if !self.stop.is_cancelled() => {}
        }
        // All that ended meanwhile are recorded together.
        while let Some(ended) = self.in_flight.try_join_next() {
            self.finished.extend(ended.ok());
        }
    }

    /// Records the results so far. If the database fails, they are kept.
    async fn record_finished(&mut self) -> Result<(), DatabaseError> {
        if self.finished.is_empty() {
            return Ok(());
        }
        let (id, policy, failures) = (self.endpoint.borrow().id, self.shared.policy, self.failures_in_a_row);
        let finished = self.finished.clone();
        let recorded = self.shared.database.run(move |connection| {
            async move { delivery::finish(connection, id, &finished, failures, &policy).await }.boxed()
        });
        let recorded = recorded.await?;
        self.finished.clear();
        self.report(id, &recorded);
        Ok(())
    }

    fn report(&self, id: i64, recorded: &Finished) {
        if recorded.state == Some(EndpointState::Paused) {
            tracing::error!(webhook.endpoint = id, "webhook endpoint paused: nothing more is sent to it");
        }
        if !recorded.parked.is_empty() {
            self.metrics.parked(recorded.parked.len());
            tracing::error!(
                webhook.endpoint = id,
                event.positions = ?recorded.parked,
                "events parked that a webhook endpoint has refused for too long"
            );
        }
    }

    /// Leases what is due, up to the limits, and starts to send it.
    async fn start_requests(&mut self) -> Result<(), DatabaseError> {
        let mut permits = self.permits();
        let wanted = self.wanted(permits.len());
        if wanted == 0 {
            return Ok(());
        }
        let endpoint = Arc::clone(&self.endpoint.borrow());
        let (id, limits) = (endpoint.id, self.limits(wanted));
        let taken =
            self.shared.database.run(move |connection| delivery::take(connection, id, limits).boxed());
        let Some(taken) = taken.await? else { return Ok(()) };
        self.failures_in_a_row = taken.failures_in_a_row;
        self.patience.leased(taken.deliveries.len(), Instant::now());
        for leased in taken.deliveries {
            self.start(Arc::clone(&endpoint), leased, permits.pop());
        }
        Ok(())
    }

    /// Permits of the process, up to the limit of the endpoint.
    fn permits(&self) -> Vec<OwnedSemaphorePermit> {
        let free = self.shared.in_flight_max.saturating_sub(self.in_flight.len());
        let permit = || Arc::clone(&self.shared.permits).try_acquire_owned().ok();
        std::iter::from_fn(permit).take(free).collect()
    }

    /// One request is always possible, however many requests others have in flight: no endpoint can block another.
    fn wanted(&self, permits: usize) -> usize {
        if self.in_flight.is_empty() { permits.max(1) } else { permits }
    }

    fn limits(&self, wanted: usize) -> Limits {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        Limits {
            wanted: number(wanted),
            in_flight_max: number(self.shared.in_flight_max),
            failures_until_probes: self.shared.policy.failures_until_probes,
            lease: self.shared.client.timeout() + LEASE_MARGIN,
        }
    }

    fn start(&mut self, endpoint: Arc<Endpoint>, leased: Leased, permit: Option<OwnedSemaphorePermit>) {
        let (client, metrics) = (self.shared.client.clone(), self.metrics.clone());
        self.in_flight.spawn(async move {
            let Attempt { finished, outcome } = attempt::send(&client, &endpoint, leased, Utc::now()).await;
            metrics.attempt(outcome, finished.latency);
            drop(permit);
            finished
        });
    }
}

fn log_outage(error: &DatabaseError) {
    static FAILED: OncePerSecond = OncePerSecond::new();
    if let Some(times) = FAILED.count() {
        tracing::warn!(times, error = chain(error), "deliveries cannot be leased or recorded");
    }
}
