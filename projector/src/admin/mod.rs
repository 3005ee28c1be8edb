//! The probes, the metrics and the operator's page.

mod gauges;
pub mod observation;
mod operator_page;
mod subscription_gauges;

use std::sync::Arc;

use actix_web::web;
use futures_util::FutureExt;
use service_kit::database::Database;
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
                let observing = runtime.spawn(endpoints.clone().observe(gauges.clone()));
                let observing_subscriptions =
                    runtime.spawn(endpoints.clone().observe_subscriptions(of_subscriptions.clone()));
                let registry = endpoints.registry.clone();
                async move {
                    // After a panic the gauges keep their values.
                    let _observed = (observing.await, observing_subscriptions.await);
                    registry.response()
                }
            });
            app.service(probe("/metrics", get));
            page.serve(app);
        })
    }

    /// By itself: whatever locks the tables of subscriptions, the other gauges have values.
    async fn observe_subscriptions(self, gauges: SubscriptionGauges) {
        match self.database.run(|connection| operator::list(connection, "", EXPORTED_MAX).boxed()).await {
            Ok(subscriptions) => gauges.set(&subscriptions),
            Err(error) => {
                static FAILED: OncePerSecond = OncePerSecond::new();
                if let Some(times) = FAILED.count() {
                    tracing::warn!(times, error = chain(&error), "the subscriptions cannot be queried");
                }
                gauges.set_unknown();
            }
        }
    }

    async fn observe(self, gauges: Gauges) {
        let low_water_mark = self.runner.low_water_mark();
        let observed =
            self.database.run(move |connection| observation::observe(connection, low_water_mark).boxed());
        match observed.await {
            Ok(observed) => gauges.set(&observed),
            Err(error) => {
                static FAILED: OncePerSecond = OncePerSecond::new();
                if let Some(times) = FAILED.count() {
                    tracing::warn!(times, error = chain(&error), "the gauges cannot be queried");
                }
                gauges.set_unknown();
            }
        }
    }
}
