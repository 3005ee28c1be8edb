//! The metrics of a process, served at `/metrics` in the text format of Prometheus.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpResponse, web};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::auth::Access;
use crate::resource::get_resource;

/// Why a [`Registry`] could not be created.
pub use metrics_exporter_prometheus::BuildError as RegistryError;

/// How often histogram samples move into their buckets. Without this, memory grows until the next scrape.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// The metrics of one process. Passed on instead of installed globally, so that several processes in one test count
/// separately.
#[derive(Clone)]
pub struct Registry {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
}

impl Registry {
    /// An empty registry. `buckets` has the upper bounds of the buckets of each histogram.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] when a histogram has no buckets.
    pub fn new(buckets: &[(&str, &[f64])]) -> Result<Self, RegistryError> {
        let mut builder = PrometheusBuilder::new();
        for (histogram, bounds) in buckets {
            builder = builder.set_buckets_for_metric(Matcher::Full((*histogram).to_owned()), bounds)?;
        }
        let recorder = builder.build_recorder();
        Ok(Self { handle: recorder.handle(), recorder: Arc::new(recorder) })
    }

    /// Runs `register`, whose `counter!`, `gauge!` and `histogram!` belong to this registry. The handles that they
    /// return can be used anywhere.
    pub fn register<T>(&self, register: impl FnOnce() -> T) -> T {
        metrics::with_local_recorder(&*self.recorder, register)
    }

    /// Keeps the histograms small. Runs until dropped.
    pub async fn run_upkeep(self) {
        let mut tick = tokio::time::interval(UPKEEP_EVERY);
        loop {
            tick.tick().await;
            self.handle.run_upkeep();
        }
    }

    /// Adds `/metrics`, which returns [`Self::response`].
    pub fn routes(&self, config: &mut web::ServiceConfig) {
        let registry = self.clone();
        let get = web::route().to(move || std::future::ready(registry.response()));
        config.service(get_resource("/metrics", Access::Open, get));
    }

    /// The current values of all metrics.
    #[must_use]
    pub fn response(&self) -> HttpResponse {
        HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(self.handle.render())
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use metrics::{counter, histogram};

    use super::*;

    #[actix_web::test]
    async fn a_registry_renders_its_own_metrics_only() {
        let (one, other) = (Registry::new(&[("lag", &[0.1, 1.0])]).unwrap(), Registry::new(&[]).unwrap());
        one.register(|| counter!("events")).increment(3);
        one.register(|| histogram!("lag")).record(0.5);
        let body = |registry: &Registry| to_bytes(registry.response().into_body());
        let text = String::from_utf8(body(&one).await.unwrap().to_vec()).unwrap();
        for line in ["events 3", "lag_bucket{le=\"0.1\"} 0", "lag_bucket{le=\"1\"} 1", "lag_count 1"] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in:\n{text}");
        }
        assert!(body(&other).await.unwrap().is_empty());
    }
}
