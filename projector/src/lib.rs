//! Applies the events of the outbox to the read models.
//!
//! | Module | Holds |
//! |---|---|
//! | [`worker`] | the loops: how often, how large, what happens when the database fails |
//! | [`batch`] | one batch in one transaction: claim, decode, apply, park |
//! | [`projection`] | the trait of projections, and one file for each read model |
//! | [`outbox`] | claiming events, and the low-water mark at which claims start |
//! | [`event_log`] | reading the events that have left the outbox, by position and without gaps |
//! | [`subscription`] | the listeners of the event log, each at its own pace |
//! | [`webhooks`] | sending events to endpoints of other systems |
//! | [`feed`] | `GET /events`: the event log over HTTP |
//! | `traces` | the spans of events whose requests are traced |
//! | [`waiting`] | events whose rows another session has locked |
//! | [`parked`] | dead letters: parking, the retry policy, the operator's queries |
//! | [`audit`] | whether acknowledged orders are lost |
//! | [`admin`] | the probes, `/metrics` and the operator's page |
//! | [`cli`] | `projector` runs the workers; `projector parked …` handles parked events |
//! | [`metrics`] | what batches count |
//! | [`event_fields`] | what lines of the log say of an event |
//! | [`database`] | how the projector opens the database, and which privileges it needs |
//!
//! Any number of workers and processes may run at once: `SKIP LOCKED` divides the events among them, and versions make
//! the order in which they are applied irrelevant.

use std::net::SocketAddr;
use std::sync::Arc;

use service_kit::auth::Authenticator;
use service_kit::config::ConfigError;
use service_kit::database::Checker;
use service_kit::default_ports;
use service_kit::health::Health;
use service_kit::http::{Api, BindError, BoundServer, Served};
use service_kit::metrics::Registry;
use service_kit::shutdown::Stop;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub mod admin;
pub mod audit;
pub mod batch;
mod budget;
pub mod cli;
mod config;
pub mod database;
pub mod event_fields;
pub mod event_log;
pub mod feed;
pub mod metrics;
pub mod outbox;
pub mod parked;
mod pause;
pub mod projection;
mod read_models;
pub mod subscription;
mod traces;
pub mod waiting;
pub mod webhooks;
mod worker;

pub use config::Config;
pub use parked::RetryPolicy;
pub use read_models::{ReadModels, projections, read_models};

use crate::admin::AdminEndpoints;
use crate::audit::Audit;
use crate::batch::BatchRunner;
use crate::event_log::{EventLog, Upkeep};
use crate::metrics::Metrics;
use crate::subscription::Pace;
use crate::worker::Worker;

/// The connection that checks the database.
const CHECK_CONNECTIONS: usize = 1;
/// The connections that follow the event log and keep it in order.
const EVENT_LOG_CONNECTIONS: usize = 2;

/// A running projector.
pub struct Projector {
    workers: JoinSet<()>,
    /// The feed. It holds the listener of the probes.
    server: BoundServer,
    stop: CancellationToken,
}

/// Why the process did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ProjectorError {
    /// The configuration is wrong.
    #[error("the configuration is wrong")]
    Config(#[from] ConfigError),
    /// A listener cannot start, or there are too few file descriptors.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The listener of the feed failed.
    #[error("the HTTP server failed")]
    Http(#[from] std::io::Error),
    /// The read models that are subscriptions cannot be started.
    #[error("the read models cannot be started")]
    ReadModels(#[from] subscription::StartError),
    /// The metrics are wrong.
    #[error("cannot set up the metrics")]
    Metrics(#[from] service_kit::metrics::RegistryError),
    /// A worker panicked. The process ends instead of continuing with fewer workers.
    #[error("a worker panicked")]
    Worker(#[from] tokio::task::JoinError),
}

impl Projector {
    /// Starts the workers and the listener. The database may still be unavailable: `/readyz` succeeds once batches do.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start(
        config: &Config,
        read_models: impl Into<ReadModels>,
        stop: CancellationToken,
    ) -> Result<Self, ProjectorError> {
        let ReadModels { claimed, subscribed } = read_models.into();
        let subscription_connections = subscribed.len() * subscription::CONNECTIONS_EACH;
        let clients = Served::plan(
            &config.http,
            config.database.pool_size()
                + CHECK_CONNECTIONS
                + EVENT_LOG_CONNECTIONS
                + subscription_connections
                + webhooks::CONNECTIONS
                + config.feed.connections,
        )?;
        let phases = Stop::new(stop.clone());
        let registry = Registry::new(&metrics::BUCKETS)?;
        let database =
            database::open_for_batches(&config.database, "projector")?.measured(&registry, "batches");
        // An idle worker pauses between two batches.
        let health = Health::with_grace(config.health.grace() + config.poll_max, stop.clone());
        let lone = database::open(&config.database.clone().with_pool_size(CHECK_CONNECTIONS), "projector")?;
        let checker = Checker::new(lone.measured(&registry, "check"), database::NEEDS);
        let metrics = Metrics::register(&registry);
        let event_log = EventLog::default();
        let runner = Arc::new(
            BatchRunner::new(database.clone(), claimed, config.parked, metrics)
                .with_batch_max_bytes(config.batch_max_bytes)
                .with_event_log(event_log.clone()),
        );
        let endpoints = AdminEndpoints {
            database,
            runner: Arc::clone(&runner),
            health: health.clone(),
            registry: registry.clone(),
            may_act: config.admin_actions,
        };
        let admin = endpoints.serve(&config.admin, default_ports::PROJECTOR_ADMIN)?;
        let mut workers = JoinSet::new();
        // Only batches make it ready: a committed batch proves more than a check.
        workers.spawn(checker.keep_checking(health.clone(), false));
        let log_database = config.database.clone().with_pool_size(EVENT_LOG_CONNECTIONS);
        let log_database = database::open(&log_database, "projector")?.measured(&registry, "event-log");
        let low_water_mark = runner.shared_low_water_mark();
        let log = (event_log.clone(), Arc::clone(&low_water_mark));
        let drain = phases.drain.clone();
        let routes = feed::routes(config.feed, &config.database, log, &registry, clients, drain)?;
        let http_config = config.http.clone().with_half_of_long_lived(config.feed.waiters_of(clients));
        let (authenticator, keeping_keys) =
            Authenticator::start(&config.auth, &http_config, &health, &registry)?;
        // Callers are verified until the drain.
        let drain = phases.drain.clone();
        workers.spawn(async move { drain.run_until_cancelled(keeping_keys).await.unwrap_or_default() });
        let server = service_kit::http::bind(
            &http_config,
            default_ports::PROJECTOR,
            clients,
            admin,
            phases.clone(),
            authenticator,
            Api { document: feed::document(), routes },
        )?;
        let audit = Audit::new(config.audit, log_database.clone(), Arc::clone(&low_water_mark), &registry);
        workers.spawn(audit.run(stop.clone()));
        let log_upkeep =
            Upkeep::new(log_database.clone(), event_log.clone(), low_water_mark, &health, &registry);
        workers.spawn(log_upkeep.run(stop.clone()));
        // The feed serves until the drain.
        workers.spawn(event_log.clone().follow(log_database, config.poll_max, phases.drain.clone()));
        let worker = Worker { runner, health, stop: stop.clone() };
        for _ in 0..config.workers {
            workers.spawn(worker.clone().drain_outbox(config.batch_max, config.poll_max));
        }
        workers.spawn(worker.clone().apply_waiting());
        workers.spawn(worker.retry_parked());
        let pace = Pace {
            event_log,
            batch_max: config.batch_max,
            batch_max_bytes: config.batch_max_bytes,
            poll_max: config.poll_max,
            stop: stop.clone(),
        };
        for task in
            subscription::read_model_tasks(&config.database, subscribed, config.parked, &pace, &registry)?
        {
            workers.spawn(task.run());
        }
        let webhook_databases = webhooks::Databases::open(&config.database, &registry)?;
        webhooks::start(&mut workers, webhook_databases, &config.webhooks, &registry, pace);
        tracing::info!(workers = config.workers, batch_max = config.batch_max, "projector started");
        Ok(Self { workers, server, stop })
    }

    /// The address of the feed.
    #[must_use]
    pub fn feed_address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The address of the probes and metrics.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.admin_address()
    }

    /// Runs until the stop signal. Then workers claim no more and finish their batches. A batch that takes longer than
    /// 4 s is rolled back, and its events stay. The feed is drained at the same time.
    ///
    /// # Errors
    ///
    /// [`ProjectorError::Worker`] when a worker panicked, and [`ProjectorError::Http`] when the server of the feed
    /// failed; the others are stopped first.
    pub async fn run(self) -> Result<(), ProjectorError> {
        let Self { mut workers, mut server, stop } = self;
        let serving = async {
            let served = server.run().await;
            stop.cancel();
            served
        };
        let working = async {
            let mut panic = None;
            // A worker ends only after the stop signal or by a panic. Unnoticed, the latter would leave a process that
            // looks alive.
            while let Some(ended) = workers.join_next().await {
                stop.cancel();
                panic = panic.or(ended.err());
            }
            panic
        };
        // Probes get responses until the last batch is done: the server holds their listener.
        let (served, panic) = tokio::join!(serving, working);
        drop(server);
        match panic {
            Some(panic) => Err(ProjectorError::Worker(panic)),
            None => Ok(served?),
        }
    }
}
