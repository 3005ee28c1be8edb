//! The probes and the metrics.

use std::io;
use std::sync::Arc;

use actix_web::{HttpResponse, web};
use futures_util::FutureExt;
use runtime::database::Database;
use runtime::health::{Health, NotReady};
use runtime::http::{BoundServer, HttpConfig};
use runtime::metrics::Registry;
use runtime::resource::readable;
use runtime::telemetry::chain;
use tokio_util::sync::CancellationToken;

use crate::adapter::postgres::observation;
use crate::drain::Drain;
use crate::metrics::Gauges;
use crate::pulse::Pulse;

/// What the listener tells about.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) database: Database,
    pub(crate) drain: Arc<Drain>,
    pub(crate) pulse: Pulse,
    pub(crate) registry: Registry,
}

impl Admin {
    /// Listens as `config` says.
    pub(crate) fn bind(
        self,
        config: &HttpConfig,
        default_port: u16,
        stop: CancellationToken,
    ) -> io::Result<BoundServer> {
        let health = Health::new(stop.clone(), {
            let admin = self.clone();
            move || admin.clone().ready()
        });
        let gauges = Gauges::register(&self.registry);
        runtime::http::bind(config, default_port, &health, stop, move |app| {
            let (admin, gauges) = (self.clone(), gauges.clone());
            let get = web::route().to(move || admin.clone().metrics(gauges.clone()));
            app.service(readable("/metrics", get));
        })
    }

    async fn ready(self) -> Result<(), NotReady> {
        self.pulse.check().map_err(|_stale| NotReady("No batch has completed recently."))?;
        let ping = self.database.run(|connection| observation::ping(connection).boxed());
        ping.await.map_err(|_| NotReady("The database cannot be reached."))
    }

    async fn metrics(self, gauges: Gauges) -> HttpResponse {
        let start = self.drain.start();
        let observed = self.database.run(move |connection| observation::observe(connection, start).boxed());
        match observed.await {
            Ok(observed) => gauges.set(&observed),
            Err(error) => {
                tracing::warn!(error = chain(&error), "the outbox cannot be observed");
                gauges.set_unknown();
            }
        }
        self.registry.answer()
    }
}
