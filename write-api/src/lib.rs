//! The write side: accepts orders, keeps their invariants, and publishes events through the outbox.
//!
//! | Module | Holds |
//! |---|---|
//! | [`domain`] | the `Order` aggregate and its values; pure |
//! | [`command`] | one use case per file |
//! | [`cli`] | `write-api` and `write-api republish` |
//! | [`port`] | what the commands need from storage |
//! | [`budget`] | the memory for requests that have no response yet |
//! | `memory` | gives memory back to the operating system after large orders |
//! | [`adapter::http`] | routes, requests and responses, problem documents |
//! | [`adapter::postgres`] | order rows and their events, written in batches |
//!
//! Dependencies point one way: adapter → command → port → domain.

#![allow(missing_docs, reason = "not published: a comment says why, the name says what")]

use std::sync::Arc;

use actix_web::web;
use service_kit::auth::Authenticator;
use service_kit::database::{Checker, Database};
use service_kit::default_ports;
use service_kit::health::Health;
use service_kit::http::{Admin, Api, BindError, Served};
use service_kit::log_output;
use service_kit::metrics::{Registry, RegistryError};
use service_kit::shutdown::Stop;
use service_kit::tasks::{CriticalTasks, Service};
use tokio_util::sync::CancellationToken;

pub mod adapter;
pub mod budget;
pub mod cli;
pub mod command;
mod config;
pub mod domain;
mod memory;
pub mod port;

pub use config::Config;

use crate::adapter::http;
use crate::adapter::postgres::{BUCKETS, Limits, NEEDS, PgOrderWriter};
use crate::budget::Budget;

/// Session settings. Every statement of this process finds its rows by key, so a plan that was made while the table was
/// small must not scan or hash the whole table later. Plans are generic: for the arrays that it sees, PostgreSQL
/// expects fewer rows than for arrays in general, and would plan `look_up` again each time. JIT is off because the
/// penalty for a disabled plan type would trigger it, and compiling takes longer than running the statement.
pub const BY_KEY_ONLY: &[&str] = &[
    "enable_seqscan=off",
    "enable_hashjoin=off",
    "enable_mergejoin=off",
    "jit=off",
    "plan_cache_mode=force_generic_plan",
];

/// Session settings of `republish`. Its statements find rows by key, too. Citus plans `emit` only for given parameters,
/// so plans are not generic.
pub(crate) const REPUBLISH_SETTINGS: &[&str] = &["enable_seqscan=off", "jit=off"];

/// One connection commits all batches.
const COMMIT_CONNECTIONS: usize = 1;

/// One connection is for the readiness check.
const CHECK_CONNECTIONS: usize = 1;

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the configuration is wrong")]
    Config(#[from] service_kit::config::ConfigError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("cannot set up the metrics")]
    Metrics(#[from] RegistryError),
}

/// The pools of database connections. Each use has its own, so that none can delay another.
struct Pools {
    commits: Database,
    /// For lookups and the steps of orders.
    other: Database,
    check: Database,
}

impl Pools {
    /// The number of connections of all pools.
    fn connections(config: &Config) -> usize {
        config.database.pool_size() + COMMIT_CONNECTIONS + CHECK_CONNECTIONS
    }

    fn open(config: &Config, health: &Health, registry: &Registry) -> Result<Self, StartError> {
        let database = config.database.clone().with_settings(BY_KEY_ONLY).for_writes();
        let open = |connections, name| {
            let pool = database.clone().with_pool_size(connections).open("write-api")?;
            Ok::<_, StartError>(pool.measured(registry, name))
        };
        Ok(Self {
            commits: open(COMMIT_CONNECTIONS, "commits")?.reporting_to(health),
            other: open(config.database.pool_size(), "other")?,
            check: open(CHECK_CONNECTIONS, "check")?,
        })
    }
}

/// Wires the adapters and starts to listen. The database may still be down: `/readyz` reports it.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn bind(config: &Config, stop: CancellationToken) -> Result<Service, StartError> {
    let clients = Served::plan(&config.http, Pools::connections(config))?;
    let stop = Stop::new(stop);
    let tasks = CriticalTasks::new(stop.begun.clone());
    let health = Health::new(config.health, stop.begun.clone());
    let registry = Registry::new(&BUCKETS)?;
    let Pools { commits, other, check } = Pools::open(config, &health, &registry)?;
    tasks.spawn("database check", Checker::new(check, NEEDS).keep_checking(health.clone(), true));
    let budget = Budget::new(config.write_budget_bytes);
    let limits = Limits {
        write_queue: config.write_queue,
        budget: budget.clone(),
        write_deadline: config.write_deadline,
    };
    watch_log(&tasks, &health);
    tasks.spawn("memory", memory::return_freed(budget.clone()));
    let writer = Arc::new(PgOrderWriter::start(commits, other, limits, &tasks, &registry));
    // The queue and its budget limit commands. A lower limit would leave a part of the queue unused.
    let http_config = config.http.clone().with_in_flight_at_least(config.write_queue);
    let (authenticator, keeping_keys) = Authenticator::start(&config.auth, &http_config, &health, &registry)?;
    tasks.spawn("access token keys", keeping_keys);
    let metrics = registry.clone();
    let metrics = move |app: &mut web::ServiceConfig| metrics.routes(app);
    let admin = Admin::start(&config.admin, default_ports::WRITE_API_ADMIN, &health, &registry, metrics)?;
    let writer = web::Data::from(writer);
    let memory_tasks = tasks.clone();
    let routes = move |app: &mut web::ServiceConfig| {
        // The allocator keeps memory per thread, so each thread returns its own.
        memory_tasks.spawn("memory", memory::return_freed(budget.clone()));
        app.app_data(writer.clone()).app_data(budget.clone()).configure(http::routes::<PgOrderWriter>);
    };
    let port = default_ports::WRITE_API;
    let api = Api { document: http::document(), routes };
    let server = service_kit::http::bind(&http_config, port, clients, admin, stop, authenticator, api)?;
    Ok(Service::new(server, tasks))
}

/// While the log cannot be written the process is not ready; it ends if the log cannot come back.
fn watch_log(tasks: &CriticalTasks, health: &Health) {
    let condition = health.add_condition("The log cannot be written.");
    let tasks_to_end = tasks.clone();
    tasks.spawn("log", async move {
        log_output::watch(condition).await;
        // No command may go unrecorded.
        tasks_to_end.fail("log");
    });
}
