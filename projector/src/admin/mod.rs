//! The probes, the metrics and the operator's page.

mod gauges;
pub mod observation;
mod operator_page;
mod subscription_gauges;

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use futures_util::FutureExt;
use service_kit::database::{ConnectError, Database, DatabaseError, PoolError};
use service_kit::health::Health;
use service_kit::http::{Admin, AdminConfig, BindError};
use service_kit::metrics::Registry;
use service_kit::overload::OncePerSecond;
use service_kit::resource::probe;
use service_kit::telemetry::chain;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

use self::gauges::Gauges;
use self::operator_page::OperatorPage;
use self::subscription_gauges::{EXPORTED_MAX, SubscriptionGauges};
use crate::batch::BatchRunner;
use crate::subscription::operator;

/// All queries of a scrape end within this time, and before the ten seconds after which Prometheus gives up on it: it
/// would lose the other metrics too.
const QUERIES_LIMIT: Duration = Duration::from_secs(6);

/// The admin endpoints, and what they report on.
#[derive(Clone)]
pub(crate) struct AdminEndpoints {
    pub(crate) database: Database,
    pub(crate) runner: Arc<BatchRunner>,
    pub(crate) health: Health,
    pub(crate) registry: Registry,
    /// Whether the operator's page may change something.
    pub(crate) may_act: bool,
}

impl AdminEndpoints {
    /// Listens on the address of `config`.
    pub(crate) fn serve(self, config: &AdminConfig, default_port: u16) -> Result<Admin, BindError> {
        let health = self.health.clone();
        let gauges = Gauges::register(&self.registry);
        let of_subscriptions = SubscriptionGauges::register(&self.registry);
        // A connection belongs to the runtime that opened it, and the listener's own runtime ends before the process
        // does.
        let runtime = Handle::current();
        let registry = self.registry.clone();
        let page = OperatorPage::new(&self, runtime.clone());
        Admin::start(config, default_port, &health, &registry, move |app| {
            let (endpoints, gauges, runtime) = (self.clone(), gauges.clone(), runtime.clone());
            let of_subscriptions = of_subscriptions.clone();
            let get = web::route().to(move || {
                let observing =
                    runtime.spawn(endpoints.clone().observe(gauges.clone(), of_subscriptions.clone()));
                let registry = endpoints.registry.clone();
                async move {
                    // After a panic the gauges keep their values.
                    let _observed = observing.await;
                    registry.response()
                }
            });
            app.service(probe("/metrics", get));
            page.serve(app);
        })
    }

    /// Each table by itself: a lock on one hides only its own gauges. None is queried if the database does not reply.
    async fn observe(self, gauges: Gauges, of_subscriptions: SubscriptionGauges) {
        let (database, low_water_mark) = (&self.database, self.runner.low_water_mark());
        let mut queries = Queries::begin();
        let replied = database.run(|connection| observation::ping(connection).boxed()).await;
        gauges.set_up(replied.as_ref().map_or_else(is_read_only, |_| true));
        if queries.known("", ready(replied)).await.is_none() {
            gauges.set_unknown();
            of_subscriptions.set_unknown();
            return queries.log();
        }
        let outbox = database.run(move |connection| observation::outbox(connection, low_water_mark).boxed());
        let outbox = queries.known("outbox", outbox).await;
        let waiting = database.run(|connection| observation::waiting(connection).boxed());
        gauges.set_backlog(outbox, queries.known("waiting_events", waiting).await);
        let parked = database.run(|connection| observation::parked(connection).boxed());
        gauges.set_parked(queries.known("parked_events", parked).await);
        let listed = database.run(|connection| operator::list(connection, "", EXPORTED_MAX).boxed());
        let listed = queries.known("subscriptions", listed).await;
        gauges.set_subscriptions_readable(listed.is_some());
        listed.map_or_else(
            || of_subscriptions.set_unknown(),
            |subscriptions| of_subscriptions.set(&subscriptions),
        );
        let server = database.run(|connection| observation::server(connection).boxed());
        gauges.set_server(queries.known("", server).await);
        queries.log();
    }
}

/// The queries of one scrape, and what is not known after them.
struct Queries {
    until: Instant,
    unknown: Vec<&'static str>,
    first_error: Option<String>,
}

impl Queries {
    fn begin() -> Self {
        Self { until: Instant::now() + QUERIES_LIMIT, unknown: Vec::new(), first_error: None }
    }

    /// What was queried of a table; of none if it is empty.
    async fn known<T>(
        &mut self,
        table: &'static str,
        query: impl Future<Output = Result<T, DatabaseError>>,
    ) -> Option<T> {
        let error = match timeout_at(self.until, query).await {
            Ok(Ok(known)) => return Some(known),
            Ok(Err(error)) => chain(&error),
            Err(_elapsed) => format!("the queries of a scrape took {} s", QUERIES_LIMIT.as_secs()),
        };
        self.unknown.push(table);
        self.first_error.get_or_insert(error);
        None
    }

    fn log(self) {
        static FAILED: OncePerSecond = OncePerSecond::new();
        if let Some(error) = self.first_error
            && let Some(times) = FAILED.count()
        {
            tracing::warn!(times, tables = self.unknown.join(", "), error, "the gauges cannot be queried");
        }
    }
}

/// The projector uses no server that is read-only, but it has replied.
fn is_read_only(error: &DatabaseError) -> bool {
    matches!(error, DatabaseError::Connect(PoolError::Backend(ConnectError::ReadOnly)))
}
