//! Traces: what became of a request and of its event, step by step and across processes, sent to a collector by OTLP.
//!
//! | Module | Holds |
//! |---|---|
//! | `config` | the variables |
//! | `context` | what travels with an event: the trace and a span of it |
//! | `step` | a step of the work, as a span |
//! | `request` | the span of a request, and where its trace begins |
//! | `sampler` | which traces are recorded; batches follow what they serve |
//! | `export` | the bounded queue in front of the collector, and what is lost |
//! | `client` | the connection to the collector |
//!
//! Without `OTEL_EXPORTER_OTLP_ENDPOINT` nothing of this runs. Traces are apart from the log: `RUST_LOG` does not
//! change them.

mod client;
mod config;
mod context;
mod export;
mod request;
mod sampler;
mod step;

use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider};

use self::client::CollectorClient;
use self::config::Incoming;
pub use self::config::TracesConfig;
pub use self::context::TraceContext;
pub(crate) use self::export::observe;
use self::export::{BoundedProcessor, CountingExporter};
pub(crate) use self::request::{RequestSpan, TraceIds, begin_request};
use self::sampler::FollowLinks;
pub use self::step::{MAX_LINKS, Running, Step};
use crate::config::{ConfigError, Vars};

/// How long the end of the process waits for the collector.
const SHUTDOWN: Duration = Duration::from_secs(5);

static TRACES: OnceLock<Traces> = OnceLock::new();

struct Traces {
    tracer: SdkTracer,
    incoming: Incoming,
    /// How many spans may wait.
    queue: usize,
}

/// Whether this process records traces.
#[must_use]
pub fn are_on() -> bool {
    TRACES.get().is_some()
}

fn tracer() -> Option<&'static SdkTracer> {
    TRACES.get().map(|traces| &traces.tracer)
}

/// Starts to record traces, if `OTEL_EXPORTER_OTLP_ENDPOINT` is set. `program` is the name of the service unless
/// `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` has another one. Call it outside a runtime.
///
/// # Errors
///
/// [`ConfigError`], which names the variable.
pub fn start(vars: &Vars, program: &str) -> Result<Option<Export>, ConfigError> {
    let Some(config) = TracesConfig::from_vars(vars)? else { return Ok(None) };
    let provider = provider(&config, program)?;
    let variables = config::without_effect(vars);
    if !variables.is_empty() {
        tracing::warn!(variables = variables.join(", "), "variables of OpenTelemetry have no effect here");
    }
    let tracer = provider.tracer("orders");
    // In tests traces may have begun already; they stay.
    let _already_set = TRACES.set(Traces { tracer, incoming: config.incoming, queue: config.queue });
    Ok(Some(Export(provider)))
}

fn provider(config: &TracesConfig, program: &str) -> Result<SdkTracerProvider, ConfigError> {
    let failed = |error: &dyn std::error::Error| ConfigError::Invalid {
        variable: "OTEL_EXPORTER_OTLP_ENDPOINT",
        reason: format!("cannot be used: {}", crate::telemetry::chain(error)),
    };
    let client = CollectorClient::new(config.timeout, config.is_plain()).map_err(|error| failed(&error))?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(config.traces_url())
        .with_headers(config.headers())
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(config.timeout)
        .build()
        .map_err(|error| failed(&error))?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(config.queue)
        .with_max_export_batch_size(config.batch)
        .with_scheduled_delay(config.schedule_delay)
        .build();
    let processor = BatchSpanProcessor::builder(CountingExporter::new(exporter)).with_batch_config(batches);
    Ok(SdkTracerProvider::builder()
        .with_sampler(FollowLinks(config.sampler.clone()))
        .with_max_links_per_span(u32::try_from(MAX_LINKS).unwrap_or(u32::MAX))
        .with_resource(resource(config, program))
        .with_span_processor(BoundedProcessor::new(processor.build(), config.queue))
        .build())
}

fn resource(config: &TracesConfig, program: &str) -> Resource {
    let given = config.resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attribute(KeyValue::new("service.name", program.to_owned()))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()))
        .with_attributes(given)
        .build()
}

/// When dropped, sends what is left, for at most 5 s. Drop it at the end of the process, outside its runtime.
#[must_use = "when it is dropped, the last spans are sent; drop it at the end of the process"]
pub struct Export(SdkTracerProvider);

impl Drop for Export {
    fn drop(&mut self) {
        // What is not sent by then is lost, as with a collector that does not respond.
        let _lost = self.0.shutdown_with_timeout(SHUTDOWN);
    }
}
