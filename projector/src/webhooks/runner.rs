//! A sender for each endpoint, and the feeder of all. Endpoints that are added, changed or removed while the process
//! runs are noticed within a moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use service_kit::database::{Database, DatabaseError};
use service_kit::overload::OncePerSecond;
use service_kit::telemetry::chain;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::endpoint::Endpoint;
use super::feeder::{AllFed, Fed, Feeder};
use super::metrics::{EndpointMetrics, WebhookMetrics};
use super::sender::{Sender, Shared};
use super::store::{self, Polled};
use super::wake::Wake;
use crate::subscription::Pace;

/// How often endpoints are polled: this also limits how late a retry is, and how late deliveries are sent that another
/// process has fed.
const POLL_EVERY: Duration = Duration::from_millis(50);
/// How often, while there is no endpoint.
const POLL_EVERY_WITHOUT_ENDPOINTS: Duration = Duration::from_millis(500);
/// How often it is found out from when on deliveries are searched.
const SETTLE_EVERY: Duration = Duration::from_secs(1);
/// How often the gauges are queried.
const OBSERVE_EVERY: Duration = Duration::from_secs(5);

/// Runs the endpoints.
pub(crate) struct Runner {
    shared: Shared,
    database: Database,
    pace: Pace,
    metrics: WebhookMetrics,
    running: BTreeMap<i64, Running>,
    /// The endpoints, and their revisions, as they were loaded last: also those that cannot be run.
    known: Vec<(i64, i64)>,
    fed: watch::Sender<AllFed>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

/// The sender of one endpoint.
struct Running {
    endpoint: watch::Sender<Arc<Endpoint>>,
    wake: Arc<Wake>,
    metrics: EndpointMetrics,
    stop: CancellationToken,
}

impl Runner {
    pub(crate) fn new(shared: Shared, database: Database, metrics: WebhookMetrics, pace: Pace) -> Self {
        let stop = pace.stop.clone();
        Self {
            shared,
            database,
            pace,
            metrics,
            running: BTreeMap::new(),
            known: Vec::new(),
            fed: watch::Sender::default(),
            tasks: JoinSet::new(),
            stop,
        }
    }

    /// Runs until the stop signal, and then until requests in flight have ended or their limit has passed.
    ///
    /// # Panics
    ///
    /// When one of its tasks has panicked.
    pub(crate) async fn run(mut self) {
        let (backlogs, fed) = (self.shared.backlogs.clone(), self.fed.subscribe());
        let feeder = Feeder::new(&self.database, backlogs, fed, self.pace.clone());
        self.tasks.spawn(feeder.run());
        let (mut next_settling, mut next_observation) = (Instant::now(), Instant::now());
        while !self.stop.is_cancelled() {
            let is_settling = Instant::now() >= next_settling;
            if is_settling {
                next_settling = Instant::now() + SETTLE_EVERY;
            }
            if let Err(error) = self.poll(is_settling).await {
                log_outage(&error);
            }
            if Instant::now() >= next_observation {
                next_observation = Instant::now() + OBSERVE_EVERY;
                self.observe().await;
            }
            let pause = if self.running.is_empty() { POLL_EVERY_WITHOUT_ENDPOINTS } else { POLL_EVERY };
            self.stop.run_until_cancelled(tokio::time::sleep(pause)).await;
            self.join_ended_tasks();
        }
        while let Some(ended) = self.tasks.join_next().await {
            propagate_panic(ended);
        }
    }

    async fn poll(&mut self, is_settling: bool) -> Result<(), DatabaseError> {
        if is_settling {
            self.settle().await?;
        }
        let polled = self
            .database
            .read(|connection| {
                let backlogs = self.shared.backlogs.clone();
                async move { store::poll(connection, &backlogs).await }.boxed()
            })
            .await?;
        let known: Vec<_> = polled.iter().map(|polled| (polled.id, polled.revision)).collect();
        if self.known != known {
            let endpoints = self.database.read(|connection| store::load(connection).boxed()).await?;
            self.update(endpoints);
            // One that has changed since the poll is loaded again after the next one.
            self.known = known;
        }
        for Polled { id, .. } in polled.iter().filter(|polled| polled.is_due) {
            if let Some(running) = self.running.get(id) {
                running.wake.due();
            }
        }
        Ok(())
    }

    async fn settle(&self) -> Result<(), DatabaseError> {
        let settle = self.database.read(|connection| {
            let backlogs = self.shared.backlogs.clone();
            async move { store::settle(connection, &backlogs).await }.boxed()
        });
        settle.await
    }

    /// Starts, changes and stops senders, so that there is one for each endpoint, and tells the feeder.
    fn update(&mut self, endpoints: Vec<Endpoint>) {
        let mut gone = std::mem::take(&mut self.running);
        for endpoint in endpoints {
            let running = match gone.remove(&endpoint.id) {
                Some(running) => {
                    running.endpoint.send_replace(Arc::new(endpoint));
                    running
                }
                None => self.start(endpoint),
            };
            let id = running.endpoint.borrow().id;
            self.running.insert(id, running);
        }
        for running in gone.into_values() {
            running.stop.cancel();
            running.metrics.unknown();
        }
        let backlogs = &self.shared.backlogs;
        let fed = |running: &Running| {
            Fed::new(running.endpoint.subscribe(), Arc::clone(&running.wake), backlogs.clone())
        };
        self.fed
            .send_replace(Arc::new(self.running.iter().map(|(id, running)| (*id, fed(running))).collect()));
    }

    fn start(&mut self, endpoint: Endpoint) -> Running {
        let (metrics, wake) = (self.metrics.of_endpoint(endpoint.id), Arc::new(Wake::default()));
        let (stop, endpoint) = (self.stop.child_token(), watch::Sender::new(Arc::new(endpoint)));
        let sender = Sender::new(
            self.shared.clone(),
            endpoint.subscribe(),
            metrics.clone(),
            Arc::clone(&wake),
            stop.clone(),
        );
        self.tasks.spawn(sender.run());
        Running { endpoint, wake, metrics, stop }
    }

    async fn observe(&self) {
        let observed = self
            .database
            .read(|connection| {
                let backlogs = self.shared.backlogs.clone();
                async move { store::observe(connection, &backlogs).await }.boxed()
            })
            .await;
        let observed = observed.unwrap_or_default();
        for (id, running) in &self.running {
            match observed.iter().find(|observed| observed.id == *id) {
                Some(observed) => {
                    self.shared.backlogs.observed(*id, observed.waiting.into());
                    running.metrics.observed(observed.is_active, observed.waiting, observed.lag_seconds);
                }
                None => running.metrics.unknown(),
            }
        }
    }

    /// Tasks of removed endpoints end. A panic must not go unnoticed: it would leave an endpoint without a task.
    fn join_ended_tasks(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            propagate_panic(ended);
        }
    }
}

fn propagate_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

fn log_outage(error: &DatabaseError) {
    static FAILED: OncePerSecond = OncePerSecond::new();
    if let Some(times) = FAILED.count() {
        tracing::warn!(times, error = chain(error), "webhook endpoints cannot be polled");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[should_panic(expected = "a bug in the feeder")]
    async fn a_panic_of_a_task_is_noticed() {
        propagate_panic(tokio::spawn(async { panic!("a bug in the feeder") }).await);
    }
}
