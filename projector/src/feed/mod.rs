//! The feed: `GET /events`, the event log over HTTP.
//!
//! | File | Holds |
//! |---|---|
//! | `get_events`, `query`, `kinds`, `problems` | the operation, its parameters and its errors |
//! | `feed` | serves one request: read, check the checkpoint, wait |
//! | `reads` | reads the log by few connections, once for all that wait at one position |
//! | `page` | one read, and the responses made of it |
//! | `checkpoint`, `histories` | checkpoints, and which of them belong to the log |
//! | [`config`], `metrics` | the `FEED_*` variables, and what is counted |
//!
//! # Limits
//!
//! A request that waits holds a client connection and one of `FEED_WAITERS` slots, but no database connection. Reads
//! have a pool of their own, so that clients cannot take connections from the projection, and queue for it for up to a
//! second. Events in memory, until the client has received them, are counted against `FEED_BUDGET_BYTES`; requests that
//! send the same bytes share them. What is beyond a limit gets a 503.

mod checkpoint;
pub mod config;
#[cfg(test)]
mod document_limits;
#[expect(clippy::module_inception, reason = "the use case has the name of the module")]
mod feed;
mod get_events;
mod histories;
mod kinds;
mod metrics;
mod page;
mod problems;
mod query;
mod reads;

use std::sync::Arc;

use actix_web::web;
use service_kit::auth::{Access, Right};
use service_kit::config::ConfigError;
use service_kit::database::DatabaseConfig;
use service_kit::http::Served;
use service_kit::metrics::Registry;
use service_kit::openapi;
use service_kit::resource::get_resource;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;

use self::config::FeedConfig;
use self::feed::Feed;
use self::metrics::FeedMetrics;
use self::reads::Reads;
use crate::budget::Budget;
use crate::database;
use crate::event_log::EventLog;
use crate::outbox::LowWaterMark;

const EVENTS: &str = "/events";

/// Events are those of all customers.
const READ: Access = Access::Needs(&[Right::Any("events:read")]);

/// The longest wait, in seconds. Longer preferences count as this.
const MAX_WAIT_S: u64 = 30;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Orders: projector",
        description = "The feed: the events of all orders, in the order of the event log."
    ),
    paths(get_events::handle)
)]
struct Document;

/// The OpenAPI document of the feed.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    let document = openapi::with_default(Document::openapi(), EVENTS, "limit", query::DEFAULT_LIMIT);
    openapi::secured(document, &[(EVENTS, READ)])
}

/// The routes of the feed, for each HTTP thread.
///
/// # Errors
///
/// [`ConfigError`] when `DATABASE_URL` is not a URL that can be used.
///
/// # Panics
///
/// Outside a tokio runtime.
pub(crate) fn routes(
    config: FeedConfig,
    database: &DatabaseConfig,
    (log, low_water_mark): (EventLog, Arc<LowWaterMark>),
    registry: &Registry,
    clients: Served,
    drain: CancellationToken,
) -> Result<impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static, ConfigError> {
    let database = database.clone().with_own_validity().with_pool_size(config.connections);
    let database = database::open(&database, "projector")?.measured(registry, "feed");
    let waiters = config.waiters_of(clients);
    let FeedMetrics { reads, waiting, counters } = FeedMetrics::register(registry, waiters);
    tracing::info!(waits.max = waiters, budget.bytes = config.budget_bytes, "limits of the feed");
    let budget = Arc::new(Budget::new(config.budget_bytes));
    let feed = web::Data::new(Feed {
        reads: Reads::new((database, config.connections), log.clone(), Arc::clone(&budget), reads),
        log,
        low_water_mark,
        budget,
        waiters: Semaphore::new(waiters),
        waiting,
        drain,
        known: std::sync::Mutex::default(),
    });
    let counters = web::Data::new(counters);
    Ok(move |app: &mut web::ServiceConfig| {
        app.app_data(feed.clone()).app_data(counters.clone());
        app.service(get_resource(EVENTS, READ, web::route().to(get_events::handle)));
        openapi::serve(app, &document());
    })
}
