//! Drains the outbox into the read models.
//!
//! | Module | Holds |
//! |---|---|
//! | [`worker`] | the loops: how often, how much, what happens when the database fails |
//! | [`batch`] | one batch in one transaction: claim, decode, apply, park |
//! | [`projection`] | what a read model is; one file for each |
//! | [`outbox`] | claiming events; the low-water mark, at which claims begin |
//! | [`waiting`] | events that wait for a lock |
//! | [`parked`] | dead letters: parking, the retry policy, the operator's queries |
//! | [`admin`] | the probes and `/metrics` |
//! | [`cli`] | `projector` serves; `projector parked …` lists, retries and discards parked events |
//! | [`metrics`] | what a batch counts |
//! | [`database`] | how the projector opens the database, and what it needs there |
//!
//! Any number of workers and processes may run at once: `SKIP LOCKED` shares the events out, and versions make the
//! order in which they are applied irrelevant.

use std::sync::Arc;

use service_kit::config::ConfigError;
use service_kit::database::Checker;
use service_kit::default_ports;
use service_kit::health::Health;
use service_kit::http::{Admin, BindError};
use service_kit::metrics::Registry;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub mod admin;
pub mod batch;
pub mod cli;
mod config;
pub mod database;
pub mod metrics;
pub mod outbox;
pub mod parked;
pub mod projection;
pub mod waiting;
mod worker;

pub use config::Config;
pub use parked::RetryPolicy;

use crate::admin::Probes;
use crate::batch::Drain;
use crate::metrics::Metrics;
use crate::projection::{OrderSummary, Projection};
use crate::worker::Worker;

/// The connection over which the database is checked.
const CHECK_CONNECTIONS: usize = 1;

/// All read models that are kept: add a projection here.
#[must_use]
pub fn projections() -> Vec<Box<dyn Projection>> {
    vec![Box::new(OrderSummary)]
}

/// A projector whose workers are at work.
pub struct Projector {
    workers: JoinSet<()>,
    admin: Admin,
    stop: CancellationToken,
}

/// Why the process could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum ProjectorError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The probes and metrics cannot be served.
    #[error(transparent)]
    Admin(#[from] BindError),
    /// The metrics are wrong.
    #[error("cannot set up the metrics")]
    Metrics(#[from] service_kit::metrics::RegistryError),
    /// A worker panicked. The process ends rather than go on with fewer.
    #[error("a worker died")]
    Worker(#[from] tokio::task::JoinError),
}

impl Projector {
    /// Starts the workers, and serves probes and metrics. The database is not needed yet: `/readyz` tells when batches complete.
    ///
    /// # Errors
    ///
    /// [`ProjectorError`].
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start(
        config: &Config,
        projections: Vec<Box<dyn Projection>>,
        stop: CancellationToken,
    ) -> Result<Self, ProjectorError> {
        service_kit::http::check_descriptors(config.database.pool_size() + CHECK_CONNECTIONS)?;
        let database = database::open_for_draining(&config.database, "projector")?;
        // An idle worker pauses between two batches.
        let health = Health::with_grace(config.health.grace() + config.longest_pause, stop.clone());
        let lone = database::open(&config.database.clone().with_pool_size(CHECK_CONNECTIONS), "projector")?;
        let checker = Checker::new(lone, database::NEEDS);
        let registry = Registry::new(&metrics::BUCKETS)?;
        let metrics = Metrics::register(&registry);
        let drain = Arc::new(
            Drain::new(database.clone(), projections, config.retries, metrics)
                .with_batch_max_bytes(config.batch_max_bytes),
        );
        let probes = Probes {
            database,
            drain: Arc::clone(&drain),
            health: health.clone(),
            registry: registry.clone(),
        };
        let admin = probes.serve(&config.admin, default_ports::PROJECTOR_ADMIN)?;
        let mut workers = JoinSet::new();
        // A batch that has completed says more than a check: it is the measure.
        workers.spawn(checker.keep_checking(health.clone(), false));
        let worker = Worker { drain, health, stop: stop.clone() };
        for _ in 0..config.workers {
            workers.spawn(worker.clone().drain_outbox(config.batch_max, config.longest_pause));
        }
        workers.spawn(worker.clone().apply_waiting());
        workers.spawn(worker.retry_parked());
        let upkeep = stop.clone().run_until_cancelled_owned(registry.run_upkeep());
        workers.spawn(async move {
            upkeep.await;
        });
        tracing::info!(workers = config.workers, batch_max = config.batch_max, "projecting");
        Ok(Self { workers, admin, stop })
    }

    /// Where the probes and metrics are served.
    #[must_use]
    pub fn address(&self) -> std::net::SocketAddr {
        self.admin.address()
    }

    /// Runs until told to stop: no new claim, batches in flight are committed.
    ///
    /// # Errors
    ///
    /// [`ProjectorError::Worker`] when a worker panicked; the others are stopped first.
    pub async fn run(self) -> Result<(), ProjectorError> {
        let Self { mut workers, admin, stop } = self;
        let mut death = None;
        // Workers end only when told to, or by panicking: a silent death would leave a process that looks alive.
        while let Some(ended) = workers.join_next().await {
            stop.cancel();
            death = death.or(ended.err());
        }
        // Whether it is alive can be asked until the last batch is done.
        drop(admin);
        death.map_or(Ok(()), |death| Err(ProjectorError::Worker(death)))
    }
}
