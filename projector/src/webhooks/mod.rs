//! Webhooks: events sent to endpoints of other systems, by the [Standard Webhooks](https://www.standardwebhooks.com)
//! specification.
//!
//! | Module | Holds |
//! |---|---|
//! | [`endpoint`] | an endpoint: its URL and its kinds of events |
//! | [`feeder`] | copies events of the log into `deliveries`, for all endpoints |
//! | [`delivery`] | leasing deliveries and recording what became of them |
//! | `sender` | sends the deliveries of one endpoint |
//! | `in_flight` | what requests in flight use of their process |
//! | `lease` | how long a process may rely on its leases |
//! | `attempt` | one attempt |
//! | [`client`] | one request, with its limits |
//! | [`connect`], `resolver` | its connection |
//! | `databases` | the connections of webhooks |
//! | [`address`] | which addresses may be connected to |
//! | [`message`], [`signature`] | what a receiver gets |
//! | [`retry`] | when a delivery is tried again |
//! | `streak` | failures in a row |
//! | `runner` | a sender for each endpoint, and the feeder of all |
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
mod databases;
pub mod delivery;
pub mod endpoint;
pub mod feeder;
mod in_flight;
mod lease;
pub mod message;
pub(crate) mod metrics;
pub mod operator;
mod resolver;
pub mod retry;
mod runner;
mod sender;
pub mod signature;
pub mod store;
mod streak;
mod upkeep;
mod wake;

use std::time::Duration;

pub use config::WebhookConfig;
pub use in_flight::MemoryLimits;
use service_kit::metrics::Registry;
use tokio::task::JoinSet;

pub(crate) use self::databases::{CONNECTIONS, Databases};
use self::delivery::Backlogs;
use self::in_flight::Capacity;
use self::lease::LEASE_MARGIN;
use self::metrics::WebhookMetrics;
use self::runner::Runner;
use self::sender::Shared;
use self::store::Latest;
use crate::pause;
use crate::subscription::Pace;

/// Starts what feeds and sends, among `tasks`.
pub(crate) fn start(
    tasks: &mut JoinSet<()>,
    databases: Databases,
    config: &WebhookConfig,
    registry: &Registry,
    pace: Pace,
) {
    let Databases { senders, feeders } = databases;
    let shared = Shared {
        database: senders,
        client: config.client(),
        policy: config.policy,
        backlogs: Backlogs::default(),
        in_flight_max: config.parallel,
        capacity: Capacity::new(config.parallel_total, config.memory),
    };
    let latest = Latest {
        due_in: pause::latest_due_in(shared.policy.retry_max),
        lease_ends_in: pause::latest_due_in(shared.client.timeout() + LEASE_MARGIN),
        probe_in: pause::latest_due_in(shared.policy.probe_max),
    };
    tasks.spawn(upkeep::run(feeders.clone(), latest, shared.backlogs.clone(), pace.stop.clone()));
    tasks.spawn(Runner::new(shared, feeders, WebhookMetrics::register(registry), pace).run());
}

/// For SQL, which counts in milliseconds.
fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
