//! The read side: answers screens from `order_summary`, and touches nothing else.
//!
//! | Module | Holds |
//! |---|---|
//! | [`model`] | what screens show: flat, public fields |
//! | [`port`] | the questions that can be asked |
//! | [`adapter::http`] | routes and problem documents |
//! | [`adapter::postgres`] | the queries |
//!
//! Dependencies point one way: adapter → port → model.

use std::sync::Arc;

use actix_web::web;
use runtime::health::{Health, NotReady};
use runtime::http::BoundServer;
use tokio_util::sync::CancellationToken;

pub mod adapter;
mod config;
pub mod model;
pub mod port;

pub use config::Config;

use crate::adapter::http;
use crate::adapter::postgres::PgOrderQueries;

/// The port that it listens on where `PORT` names no other.
const DEFAULT_PORT: u16 = 8082;

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
pub fn bind(config: &Config, stop: CancellationToken) -> Result<BoundServer, StartError> {
    let queries = Arc::new(PgOrderQueries::new(config.database.open("read-api")?));
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
    let queries = web::Data::from(queries);
    let server = runtime::http::bind(&config.http, DEFAULT_PORT, &health, stop, move |app| {
        app.app_data(queries.clone()).configure(http::routes::<PgOrderQueries>);
    })?;
    Ok(server)
}
