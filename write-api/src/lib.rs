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
use service_kit::database::Checker;
use service_kit::default_ports;
use service_kit::health::Health;
use service_kit::http::{Admin, BindError, Served};
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
/// expects fewer rows than for arrays in general, and would plan `save_batch` again for each batch. JIT is off because
/// the penalty for a disabled plan type would trigger it, and compiling takes longer than running the statement.
pub const BY_KEY_ONLY: &[&str] = &[
    "enable_seqscan=off",
    "enable_hashjoin=off",
    "enable_mergejoin=off",
    "jit=off",
    "plan_cache_mode=force_generic_plan",
];

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

/// Wires the adapters and starts to listen. The database may still be down: `/readyz` reports it.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn bind(config: &Config, stop: CancellationToken) -> Result<Service, StartError> {
    let connections = config.database.pool_size() + COMMIT_CONNECTIONS + CHECK_CONNECTIONS;
    let clients = Served::plan(&config.http, connections)?;
    let stop = Stop::new(stop);
    let database = config.database.clone().with_settings(BY_KEY_ONLY).for_writes();
    let tasks = CriticalTasks::new(stop.begun.clone());
    let health = Health::new(config.health, stop.begun.clone());
    let checker = Checker::new(database.clone().with_pool_size(CHECK_CONNECTIONS).open("write-api")?, NEEDS);
    tasks.spawn("database check", checker.keep_checking(health.clone(), true));
    let commits =
        database.clone().with_pool_size(COMMIT_CONNECTIONS).open("write-api")?.reporting_to(&health);
    let budget = Budget::new(config.write_budget_bytes);
    let limits = Limits {
        write_queue: config.write_queue,
        budget: budget.clone(),
        write_deadline: config.write_deadline,
    };
    let tasks_to_end = tasks.clone();
    let log_condition = health.add_condition("The log cannot be written.");
    tasks.spawn("log", async move {
        log_output::watch(log_condition).await;
        // No command may go unrecorded, and this log cannot come back.
        tasks_to_end.fail("log");
    });
    tasks.spawn("memory", memory::return_freed(budget.clone()));
    let registry = Registry::new(&BUCKETS)?;
    let commits = commits.measured(&registry, "commits");
    let database = database.open("write-api")?.measured(&registry, "other");
    let writer = Arc::new(PgOrderWriter::start(commits, database, limits, &tasks, &registry));
    let (authenticator, keeping_keys) = Authenticator::start(&config.auth, &config.http, &health, &registry)?;
    tasks.spawn("access token keys", keeping_keys);
    let metrics = registry.clone();
    let metrics = move |app: &mut web::ServiceConfig| metrics.routes(app);
    let admin = Admin::start(&config.admin, default_ports::WRITE_API_ADMIN, &health, &registry, metrics)?;
    let writer = web::Data::from(writer);
    let memory_tasks = tasks.clone();
    // The queue and its budget limit commands. A lower limit would leave a part of the queue unused.
    let http_config = config.http.clone().with_in_flight_at_least(config.write_queue);
    let server = service_kit::http::bind(
        &http_config,
        default_ports::WRITE_API,
        clients,
        admin,
        stop,
        authenticator,
        move |app| {
            // The allocator keeps memory per thread, so each thread returns its own.
            memory_tasks.spawn("memory", memory::return_freed(budget.clone()));
            app.app_data(writer.clone()).app_data(budget.clone()).configure(http::routes::<PgOrderWriter>);
        },
    )?;
    Ok(Service::new(server, tasks))
}
