//! The metrics of a process, served at `/metrics` in the text format of Prometheus.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::{HttpResponse, web};
use metrics::{describe_gauge, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::http::request_metrics;
use crate::log_output;
use crate::resource::probe;
use crate::traces;

/// Why a [`Registry`] could not be created.
pub use metrics_exporter_prometheus::BuildError as RegistryError;

const BUILD_INFO: &str = "orders_build_info";

/// How often histogram samples move into their buckets. Without this, memory grows until the next scrape.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// The metrics of one process. Passed on instead of installed globally, so that several processes in one test count
/// separately.
#[derive(Clone)]
pub struct Registry {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    process: metrics_process::Collector,
    observations: Arc<Mutex<Vec<Observation>>>,
}

/// Sets gauges.
type Observation = Box<dyn Fn() + Send + Sync>;

impl Registry {
    /// A registry with metrics of the process and of HTTP requests. `buckets` has the upper bounds of
    /// the buckets of each further histogram.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] when a histogram has no buckets.
    pub fn new(buckets: &[(&str, &[f64])]) -> Result<Self, RegistryError> {
        let http = (request_metrics::DURATION, request_metrics::DURATION_BUCKETS);
        let mut builder = PrometheusBuilder::new();
        for (histogram, bounds) in buckets.iter().chain([&http]) {
            builder = builder.set_buckets_for_metric(Matcher::Full((*histogram).to_owned()), bounds)?;
        }
        let recorder = builder.build_recorder();
        let (handle, process) = (recorder.handle(), metrics_process::Collector::default());
        let registry = Self { handle, recorder: Arc::new(recorder), process, observations: Arc::default() };
        registry.register(|| {
            registry.process.describe();
            describe_gauge!(BUILD_INFO, "Always 1. Its label is the version of the program.");
            gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        });
        log_output::observe(&registry);
        traces::observe(&registry);
        Ok(registry)
    }

    /// Runs `register`, whose `counter!`, `gauge!` and `histogram!` belong to this registry. The handles that they
    /// return can be used anywhere.
    pub fn register<T>(&self, register: impl FnOnce() -> T) -> T {
        metrics::with_local_recorder(&*self.recorder, register)
    }

    /// Runs `observe` before each scrape, to set gauges. It must not block.
    pub fn before_each_scrape(&self, observe: impl Fn() + Send + Sync + 'static) {
        self.observations.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(observe));
    }

    /// Keeps the histograms small. Runs until dropped.
    pub(crate) async fn run_upkeep(self) {
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
        config.service(probe("/metrics", get));
    }

    /// The current values of all metrics, and of the process.
    #[must_use]
    pub fn response(&self) -> HttpResponse {
        self.register(|| self.process.collect());
        for observe in self.observations.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            observe();
        }
        HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(self.handle.render())
    }
}

/// The nearest number that a metric can have.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::as_conversions,
    reason = "a metric may be off by a part in 2^53"
)]
pub fn rounded(count: usize) -> f64 {
    count as f64
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
        let other = String::from_utf8(body(&other).await.unwrap().to_vec()).unwrap();
        assert!(!other.contains("events") && !other.contains("lag"), "{other}");
    }
}
