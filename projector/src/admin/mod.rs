//! The probes, the metrics and the operator's page.

mod gauges;
pub mod observation;
mod operator_page;
mod subscription_gauges;

use std::sync::Arc;

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

use self::gauges::Gauges;
use self::operator_page::OperatorPage;
use self::subscription_gauges::{EXPORTED_MAX, SubscriptionGauges};
use crate::batch::BatchRunner;
use crate::subscription::operator;

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
        let replied = self.database.run(|connection| observation::ping(connection).boxed()).await;
        gauges.set_up(replied.as_ref().map_or_else(is_read_only, |_| true));
        if let Err(error) = replied {
            warn("", &error);
            gauges.set_unknown();
            return of_subscriptions.set_unknown();
        }
        let (database, low_water_mark) = (&self.database, self.runner.low_water_mark());
        let outbox = database.run(move |connection| observation::outbox(connection, low_water_mark).boxed());
        let outbox = known("outbox", outbox.await);
        let waiting = database.run(|connection| observation::waiting(connection).boxed()).await;
        gauges.set_backlog(outbox, known("waiting_events", waiting));
        let parked = database.run(|connection| observation::parked(connection).boxed()).await;
        gauges.set_parked(known("parked_events", parked));
        let server = database.run(|connection| observation::server(connection).boxed()).await;
        gauges.set_server(known("", server));
        let listed =
            self.database.run(|connection| operator::list(connection, "", EXPORTED_MAX).boxed()).await;
        gauges.set_subscriptions_readable(listed.is_ok());
        match listed {
            Ok(subscriptions) => of_subscriptions.set(&subscriptions),
            Err(error) => {
                static FAILED: OncePerSecond = OncePerSecond::new();
                if let Some(times) = FAILED.count() {
                    tracing::warn!(times, error = chain(&error), "the subscriptions cannot be queried");
                }
                of_subscriptions.set_unknown();
            }
        }
    }
}

/// What was queried. A failure is logged.
fn known<T>(table: &str, queried: Result<T, DatabaseError>) -> Option<T> {
    queried.inspect_err(|error| warn(table, error)).ok()
}

fn warn(table: &str, error: &DatabaseError) {
    static FAILED: OncePerSecond = OncePerSecond::new();
    if let Some(times) = FAILED.count() {
        tracing::warn!(times, table, error = chain(error), "the gauges cannot be queried");
    }
}

/// The projector uses no server that is read-only, but it has replied.
fn is_read_only(error: &DatabaseError) -> bool {
    matches!(error, DatabaseError::Connect(PoolError::Backend(ConnectError::ReadOnly)))
}
