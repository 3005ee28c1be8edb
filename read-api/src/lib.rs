//! The read side: answers screens from `order_summary`, and touches nothing else.
//!
//! | Module | Holds |
//! |---|---|
//! | [`model`] | what screens show: flat, public fields |
//! | [`port`] | the questions that can be asked |
//! | [`live`] | telling who watches a customer what changes |
//! | [`version_wait`] | waiting until one's own write can be read |
//! | [`adapter::http`] | routes and problem documents |
//! | [`adapter::postgres`] | the queries |
//!
//! Dependencies point one way: adapter → `live`, `version_wait` → port → model.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::web;
use service_kit::database::Checker;
use service_kit::default_ports;
use service_kit::health::Health;
use service_kit::http::{Admin, BindError, Served};
use service_kit::metrics::{Registry, RegistryError};
use service_kit::shutdown::Stop;
use service_kit::tasks::{CriticalTasks, Service};
use tokio_util::sync::CancellationToken;

pub mod adapter;
mod config;
pub mod live;
pub mod model;
pub mod port;
pub mod version_wait;

pub use config::Config;

use crate::adapter::http;
use crate::adapter::postgres::{
    BY_KEY_ONLY, CONNECTIONS, NEEDS, PgOrderQueries, PgOrderWatch, WATCH_CONNECTIONS,
};
use crate::live::{Live, Report};
use crate::version_wait::VersionWait;

/// The connection over which the database is checked.
const CHECK_CONNECTIONS: usize = 1;

/// Why the process could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] service_kit::config::ConfigError),
    /// It cannot serve.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The metrics are wrong.
    #[error("cannot set up the metrics")]
    Metrics(#[from] RegistryError),
}

/// Wires the adapters to each other and listens. The database is not needed yet: `/readyz` tells when it is there.
///
/// # Errors
///
/// [`StartError`].
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn bind(config: &Config, stop: CancellationToken) -> Result<Service, StartError> {
    let lanes = CONNECTIONS * config.http.http_workers;
    let connections = config.database.pool_size() + lanes + WATCH_CONNECTIONS + CHECK_CONNECTIONS;
    let clients = Served::plan(&config.http, connections)?;
    let stop = Stop::new(stop);
    let database = config.database.clone().with_settings(BY_KEY_ONLY);
    let tasks = CriticalTasks::new(stop.begun.clone());
    let health = Health::new(config.health, stop.begun.clone());
    let checker = Checker::new(database.clone().with_pool_size(CHECK_CONNECTIONS).open("read-api")?, NEEDS);
    tasks.spawn("database check", checker.keep_checking(health.clone(), true));
    let lanes = database.clone().with_pool_size(CONNECTIONS);
    let lanes = (0..config.http.http_workers).map(|_| Ok(lanes.open("read-api")?.reporting_to(&health)));
    let lanes: Vec<_> = lanes.collect::<Result<_, StartError>>()?;
    let watching = database.clone().with_pool_size(WATCH_CONNECTIONS).open("read-api")?;
    let database = database.open("read-api")?.reporting_to(&health);
    let watch = Arc::new(PgOrderWatch::new(watching));
    // Half of the connections are left to requests that are answered at once, probes among them.
    let share = clients.connections() / 4;
    tracing::info!(streams.max = share, waits.max = share, "shares of the connections");
    let version_wait = web::Data::new(VersionWait::start(Arc::clone(&watch), share, &tasks));
    let registry = Registry::new(&[])?;
    let report = Report::register(&registry);
    let (watch, end) = (Arc::clone(&watch), stop.drain.clone());
    let live = Live::start_with_report(watch, config.live_poll, share, report, end, &tasks);
    let live = web::Data::new(live);
    let cursor_keys = web::Data::new(config.cursor_keys.clone());
    let metrics = registry.clone();
    let metrics = move |app: &mut web::ServiceConfig| metrics.routes(app);
    let admin = Admin::start(&config.admin, default_ports::READ_API_ADMIN, &health, &registry, metrics)?;
    let worker = Arc::new(AtomicUsize::new(0));
    let coalescing = tasks.clone();
    // This is called once on each thread that serves HTTP; where one died and is replaced, the next takes over its lanes.
    let server =
        service_kit::http::bind(&config.http, default_ports::READ_API, clients, admin, stop, move |app| {
            let worker = worker.fetch_add(1, Ordering::Relaxed) % lanes.len();
            let lanes = lanes.get(worker).unwrap_or(&database).clone();
            app.app_data(web::Data::new(PgOrderQueries::start(lanes, database.clone(), &coalescing)))
                .app_data(version_wait.clone())
                .app_data(live.clone())
                .app_data(cursor_keys.clone())
                .configure(http::routes::<PgOrderQueries, PgOrderWatch>);
        })?;
    Ok(Service::new(server, tasks))
}
