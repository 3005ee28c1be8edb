//! Webhooks: events sent to endpoints of other systems, by the [Standard Webhooks](https://www.standardwebhooks.com)
//! specification.
//!
//! | Module | Holds |
//! |---|---|
//! | [`endpoint`] | an endpoint: its URL and its kinds of events |
//! | [`feeder`] | the subscription of an endpoint, which copies events into `deliveries` |
//! | [`delivery`] | leasing deliveries and recording what became of them |
//! | `sender` | sends the deliveries of one endpoint |
//! | `attempt` | one attempt |
//! | [`client`] | one request, with its limits |
//! | [`connect`], `resolver` | its connection |
//! | [`address`] | which addresses may be connected to |
//! | [`message`], [`signature`] | what a receiver gets |
//! | [`retry`] | when a delivery is tried again |
//! | `runner` | a feeder and a sender for each endpoint |
//! | [`store`] | what a process reads of the endpoints |
//! | `upkeep` | removes old attempts and secrets, corrects times |
//! | [`operator`] | what `projector webhooks …` queries and changes |
//!
//! At least once, with the same id; in order for each order, in parallel for different ones. No transaction is open
//! during a request.

pub mod address;
mod attempt;
pub mod client;
mod config;
pub mod connect;
pub mod delivery;
pub mod endpoint;
pub mod feeder;
pub mod message;
pub(crate) mod metrics;
pub mod operator;
mod resolver;
pub mod retry;
mod runner;
mod sender;
pub mod signature;
pub mod store;
mod upkeep;
mod wake;

use std::sync::Arc;
use std::time::Duration;

pub use config::WebhookConfig;
use service_kit::database::Database;
use service_kit::metrics::Registry;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::metrics::WebhookMetrics;
use self::runner::Runner;
use self::sender::{LEASE_MARGIN, Shared};
use self::upkeep::Latest;
use crate::pause;
use crate::subscription::Pace;

/// The connections that feeders and senders share. They are their own: whatever endpoints do, batches have theirs.
pub(crate) const CONNECTIONS: usize = 4;

/// Starts what feeds and sends, among `tasks`.
pub(crate) fn start(
    tasks: &mut JoinSet<()>,
    database: Database,
    config: &WebhookConfig,
    registry: &Registry,
    pace: Pace,
) {
    let shared = Shared {
        database: database.clone(),
        client: config.client(),
        policy: config.policy,
        in_flight_max: config.parallel,
        permits: Arc::new(Semaphore::new(config.parallel_total)),
    };
    let latest = Latest {
        // A probe's pause is shorter.
        due_in: pause::latest_due_in(shared.policy.retry_max),
        lease_ends_in: pause::latest_due_in(shared.client.timeout() + LEASE_MARGIN),
    };
    tasks.spawn(upkeep::run(database, latest, pace.stop.clone()));
    tasks.spawn(Runner::new(shared, WebhookMetrics::register(registry), pace).run());
}

/// For SQL, which counts in milliseconds.
fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
