//! Drains the outbox into the read models.
//!
//! | Module | Holds |
//! |---|---|
//! | [`projection`] | what a read model is; `projection/` has one file for each |
//! | [`worker`] | one cycle, and the loop around it |
//! | [`adapter::postgres`] | claiming events, parking those that cannot be projected |
//!
//! Any number of workers and processes may run at once: `SKIP LOCKED` shares the events out, and versions make the
//! order in which they are applied irrelevant.

use std::sync::Arc;

use runtime::config::ConfigError;
use runtime::health::{Health, NotReady};
use runtime::http::BoundServer;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub mod adapter;
mod config;
pub mod projection;
mod pulse;
mod retry;
pub mod worker;

pub use config::Config;

use crate::projection::{OrderSummary, Projection};
use crate::pulse::Pulse;
use crate::worker::{Polling, Worker};

/// The port of the probes where `PORT` names no other.
const DEFAULT_PORT: u16 = 8083;

/// All read models that are kept: add a projection here.
#[must_use]
pub fn projections() -> Vec<Box<dyn Projection>> {
    vec![Box::new(OrderSummary)]
}

/// A projector whose workers are at work.
pub struct Projector {
    workers: JoinSet<()>,
    probes: BoundServer,
    stop: CancellationToken,
}

/// Why the process could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum ProjectorError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The probes cannot be served.
    #[error("cannot serve the probes")]
    Probes(#[from] std::io::Error),
    /// A worker panicked. The process ends rather than go on with fewer.
    #[error("a worker died")]
    Worker(#[from] tokio::task::JoinError),
}

impl Projector {
    /// Starts the workers and listens for probes. The database is not needed yet: `/readyz` tells when cycles complete.
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
        let database = config.database.open("projector")?;
        let pulse = Pulse::start(config.longest_pause);
        let worker = Arc::new(Worker::new(database, projections, config.batch_size));
        let health = Health::new(stop.clone(), {
            let pulse = pulse.clone();
            move || {
                std::future::ready(
                    pulse.check().map_err(|_stale| NotReady("No cycle has completed recently.")),
                )
            }
        });
        let probes = runtime::http::bind(&config.http, DEFAULT_PORT, &health, stop.clone(), |_app| {})?;
        let mut workers = JoinSet::new();
        for _ in 0..config.workers {
            let polling =
                Polling { longest_pause: config.longest_pause, pulse: pulse.clone(), stop: stop.clone() };
            workers.spawn(Arc::clone(&worker).run(polling));
        }
        tracing::info!(workers = config.workers, batch_size = config.batch_size, "projecting");
        Ok(Self { workers, probes, stop })
    }

    /// Where the probes are served.
    #[must_use]
    pub fn address(&self) -> std::net::SocketAddr {
        self.probes.address()
    }

    /// Runs until told to stop: no new claim, batches in flight are committed.
    ///
    /// # Errors
    ///
    /// [`ProjectorError::Worker`] when a worker panicked; the others are stopped first.
    pub async fn run(self) -> Result<(), ProjectorError> {
        let Self { mut workers, probes, stop } = self;
        let end_with_workers = async {
            let mut death = None;
            // Workers end only when told to, or by panicking: a silent death would leave a process that looks alive.
            while let Some(ended) = workers.join_next().await {
                stop.cancel();
                death = death.or(ended.err());
            }
            death.map_or(Ok(()), |death| Err(ProjectorError::Worker(death)))
        };
        let (worker_end, probes_end) = tokio::join!(end_with_workers, probes.run());
        worker_end?;
        Ok(probes_end?)
    }
}
