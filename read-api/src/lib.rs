//! The read side: answers screens from `order_summary`, and touches nothing else.
//!
//! | Module | Holds |
//! |---|---|
//! | [`model`] | what screens show: flat, public fields |
//! | [`port`] | the questions that can be asked |
//! | [`version_wait`] | waiting until one's own write can be read |
//! | [`adapter::http`] | routes and problem documents |
//! | [`adapter::postgres`] | the queries |
//!
//! Dependencies point one way: adapter → `version_wait` → port → model.

use std::sync::Arc;

use actix_web::web;
use runtime::health::{Health, NotReady};
use runtime::http::BoundServer;
use tokio_util::sync::CancellationToken;

pub mod adapter;
mod config;
pub mod model;
pub mod port;
pub mod version_wait;

pub use config::Config;

use crate::adapter::http;
use crate::adapter::postgres::PgOrderQueries;
use crate::version_wait::VersionWait;

/// The port that it listens on where `PORT` names no other.
const DEFAULT_PORT: u16 = 8082;

/// Every statement finds its rows by key and in order; a plan that is kept must not depend on what the tables held when it was
/// made, nor be weighed anew for each call.
const BY_KEY_ONLY: &[&str] = &["enable_seqscan=off", "jit=off", "plan_cache_mode=force_generic_plan"];

/// Why the process could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] runtime::config::ConfigError),
    /// The address cannot be listened on.
    #[error("cannot listen on the configured address")]
    Listen(#[from] std::io::Error),
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
pub fn bind(config: &Config, stop: CancellationToken) -> Result<BoundServer, StartError> {
    let database = config.database.clone().with_settings(BY_KEY_ONLY).open("read-api")?;
    let queries = Arc::new(PgOrderQueries::start(database));
    let checked = Arc::clone(&queries);
    let health = Health::new(stop.clone(), move || {
        let queries = Arc::clone(&checked);
        async move {
            queries.check().await.map_err(|error| {
                tracing::warn!(error = runtime::telemetry::chain(&error), "not ready: no working database");
                NotReady("The database cannot be used.")
            })
        }
    });
    let version_wait = web::Data::new(VersionWait::start(Arc::clone(&queries)));
    let (queries, cursor_key) = (web::Data::from(queries), web::Data::new(config.cursor_key.clone()));
    let server = runtime::http::bind(&config.http, DEFAULT_PORT, &health, stop, move |app| {
        app.app_data(queries.clone())
            .app_data(version_wait.clone())
            .app_data(cursor_key.clone())
            .configure(http::routes::<PgOrderQueries>);
    })?;
    Ok(server)
}
