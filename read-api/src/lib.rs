//! The read side: serves screens from `order_summary`, its only table.
//!
//! | Module | Holds |
//! |---|---|
//! | [`model`] | the types that screens show, and positions in lists and streams |
//! | [`port`] | the queries that are needed |
//! | [`live`] | streams: a customer's changed orders, each in its newest state |
//! | [`version_wait`] | waiting until a client can read its own write |
//! | `occupancy` | how many of them there are |
//! | [`cursor`] | signed positions in lists |
//! | [`adapter::http`] | routes and problem documents |
//! | [`adapter::postgres`] | the queries in SQL |
//!
//! Dependencies point one way: adapter → `live`, `version_wait`, `cursor` → port → model.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_web::web;
use service_kit::auth::Authenticator;
use service_kit::config::ConfigError;
use service_kit::database::{Checker, Database};
use service_kit::default_ports;
use service_kit::health::Health;
use service_kit::http::{Admin, Api, BindError, Served};
use service_kit::metrics::{Registry, RegistryError};
use service_kit::shutdown::Stop;
use service_kit::tasks::{CriticalTasks, Service};
use tokio_util::sync::CancellationToken;

pub mod adapter;
mod config;
pub mod cursor;
pub mod live;
pub mod model;
mod occupancy;
pub mod port;
pub mod version_wait;

pub use config::Config;

use crate::adapter::http;
use crate::adapter::postgres::{
    BY_KEY_ONLY, DEDICATED_CONNECTIONS, NEEDS, PgOrderQueries, PgOrderWatch, WATCH_CONNECTIONS,
};
use crate::live::{Live, Report};
use crate::version_wait::VersionWait;

/// The connection that the database check uses.
const CHECK_CONNECTIONS: usize = 1;

/// Streams may hold a quarter of the client connections, and requests that wait for a version another quarter. Both
/// last long. So half of the connections stay free for requests that get their response at once.
const LONG_LIVED_SHARE: usize = 4;

/// The reason why the process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error("the configuration is wrong")]
    Config(#[from] ConfigError),
    /// An address cannot be listened on, or there are too few file descriptors.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The metrics cannot be set up.
    #[error("cannot set up the metrics")]
    Metrics(#[from] RegistryError),
}

/// The pools of database connections. Each use has its own, so that none can delay another.
struct Pools {
    /// For lists by status, which may take long.
    shared: Database,
    /// For quick queries: one pool per HTTP thread.
    dedicated: Vec<Database>,
    /// For requests that wait and for streams.
    watch: Database,
    /// For the database check.
    check: Database,
}

impl Pools {
    /// The number of connections of all pools.
    fn connections(config: &Config) -> usize {
        let dedicated = DEDICATED_CONNECTIONS * config.http.http_workers;
        config.database.pool_size() + dedicated + WATCH_CONNECTIONS + CHECK_CONNECTIONS
    }

    fn open(config: &Config, health: &Health, registry: &Registry) -> Result<Self, StartError> {
        let database = config.database.clone().with_settings(BY_KEY_ONLY);
        let open = |connections, name: &str| {
            let pool = database.clone().with_pool_size(connections).open("read-api")?;
            Ok::<_, ConfigError>(pool.measured(registry, name))
        };
        let dedicated = (0..config.http.http_workers)
            .map(|worker| Ok(open(DEDICATED_CONNECTIONS, &format!("quick-{worker}"))?.reporting_to(health)));
        Ok(Self {
            dedicated: dedicated.collect::<Result<_, StartError>>()?,
            watch: open(WATCH_CONNECTIONS, "watch")?,
            check: open(CHECK_CONNECTIONS, "check")?,
            shared: open(config.database.pool_size(), "slow")?.reporting_to(health),
        })
    }
}

/// Wires the adapters to each other and listens. It succeeds without a database; `/readyz` reports when one is
/// available.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn bind(config: &Config, stop: CancellationToken) -> Result<Service, StartError> {
    let clients = Served::plan(&config.http, Pools::connections(config))?;
    let max_long_lived = clients.connections() / LONG_LIVED_SHARE;
    tracing::info!(streams.max = max_long_lived, waits.max = max_long_lived, "limits of streams and waits");
    let http_config = config.http.clone().with_half_of_long_lived(max_long_lived);
    let stop = Stop::new(stop);
    let tasks = CriticalTasks::new(stop.begun.clone());
    let health = Health::new(config.health, stop.begun.clone());
    let registry = Registry::new(&[])?;
    let (authenticator, keeping_keys) = Authenticator::start(&config.auth, &http_config, &health, &registry)?;
    tasks.spawn("access token keys", keeping_keys);
    let Pools { shared, dedicated, watch, check } = Pools::open(config, &health, &registry)?;
    let checker = Checker::new(check, NEEDS);
    tasks.spawn("database check", checker.keep_checking(health.clone(), true));

    let watch = Arc::new(PgOrderWatch::new(watch));
    let version_wait = web::Data::new(VersionWait::start(Arc::clone(&watch), max_long_lived, &tasks));
    let report = Report::register(&registry);
    let end = stop.drain.clone();
    let live = Live::start_with_report(watch, config.live_poll, max_long_lived, report, end, &tasks);
    live.observe(&registry);
    version_wait.observe(&registry);
    let live = web::Data::new(live);
    let cursor_keys = web::Data::new(config.cursor_keys.clone());

    let metrics = registry.clone();
    let metrics = move |app: &mut web::ServiceConfig| metrics.routes(app);
    let admin = Admin::start(&config.admin, default_ports::READ_API_ADMIN, &health, &registry, metrics)?;
    let started_workers = Arc::new(AtomicUsize::new(0));
    let coalescing = tasks.clone();
    // Called once per HTTP thread. If a thread dies, its replacement takes over one of the dedicated pools.
    let configure = move |app: &mut web::ServiceConfig| {
        let worker = started_workers.fetch_add(1, Ordering::Relaxed) % dedicated.len();
        let dedicated = dedicated.get(worker).unwrap_or(&shared).clone();
        app.app_data(web::Data::new(PgOrderQueries::start(dedicated, shared.clone(), &coalescing)))
            .app_data(version_wait.clone())
            .app_data(live.clone())
            .app_data(cursor_keys.clone())
            .configure(http::routes::<PgOrderQueries, PgOrderWatch>);
    };
    let server = service_kit::http::bind(
        &http_config,
        default_ports::READ_API,
        clients,
        admin,
        stop,
        authenticator,
        Api { document: http::document(), routes: configure },
    )?;
    Ok(Service::new(server, tasks))
}
