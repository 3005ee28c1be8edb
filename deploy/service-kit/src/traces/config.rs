//! The variables of traces. Their names are those of the OpenTelemetry specification.

#[cfg(test)]
mod tests;
mod values;

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry_sdk::trace::Sampler;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use self::values::{boolean, incoming, is_header, must_be, pairs, parse_endpoint, resource, sampler};
use crate::config::{self, ConfigError, Vars, in_range};
use crate::secret_file::SecretVariable;

const HEADERS: SecretVariable =
    SecretVariable { value: "OTEL_EXPORTER_OTLP_HEADERS", file: "OTEL_EXPORTER_OTLP_HEADERS_FILE" };

const KNOWN: [&str; 15] = [
    "OTEL_SDK_DISABLED",
    "OTEL_TRACES_EXPORTER",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_HEADERS_FILE",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_EXPORT_TIMEOUT",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
];

/// What an incoming `traceparent` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Incoming {
    /// The request begins a new trace, with a link to the caller's.
    Link,
    /// The request continues the caller's trace, which also decides whether it is recorded.
    Trust,
}

/// Where traces are sent, and which.
#[derive(Debug, Clone)]
pub struct TracesConfig {
    endpoint: Url,
    headers: Option<SecretString>,
    pub(super) timeout: Duration,
    pub(super) schedule_delay: Duration,
    pub(super) queue: usize,
    pub(super) batch: usize,
    pub(super) sampler: Sampler,
    pub(super) incoming: Incoming,
    pub(super) resource: Vec<(String, String)>,
}

/// The variables as they are read.
#[derive(Deserialize)]
struct Raw {
    otel_sdk_disabled: Option<String>,
    otel_traces_exporter: Option<String>,
    otel_exporter_otlp_endpoint: Option<String>,
    otel_exporter_otlp_protocol: Option<String>,
    /// In milliseconds, as the other times.
    #[serde(default = "default_timeout")]
    otel_exporter_otlp_timeout: u64,
    #[serde(default = "default_schedule_delay")]
    otel_bsp_schedule_delay: u64,
    #[serde(default = "default_export_timeout")]
    otel_bsp_export_timeout: u64,
    #[serde(default = "default_queue")]
    otel_bsp_max_queue_size: usize,
    #[serde(default = "default_batch")]
    otel_bsp_max_export_batch_size: usize,
    otel_traces_sampler: Option<String>,
    otel_traces_sampler_arg: Option<String>,
    otel_service_name: Option<String>,
    otel_resource_attributes: Option<String>,
    trace_incoming: Option<String>,
}

const fn default_timeout() -> u64 {
    10_000
}

const fn default_schedule_delay() -> u64 {
    5_000
}

const fn default_export_timeout() -> u64 {
    30_000
}

const fn default_queue() -> usize {
    2_048
}

const fn default_batch() -> usize {
    512
}

impl TracesConfig {
    /// Reads and checks `TRACE_INCOMING` and the `OTEL_*` variables; none without `OTEL_EXPORTER_OTLP_ENDPOINT`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable.
    pub fn from_vars(vars: &Vars) -> Result<Option<Self>, ConfigError> {
        // The specification: an empty value is as none.
        let vars: Vars =
            vars.iter().filter(|(name, value)| !(value.is_empty() && is_of_traces(name))).cloned().collect();
        let raw: Raw = config::read("", &vars)?;
        let is_off = boolean("OTEL_SDK_DISABLED", raw.otel_sdk_disabled.as_deref())?
            || raw.otel_traces_exporter.as_deref() == Some("none");
        let Some(endpoint) = raw.otel_exporter_otlp_endpoint.as_deref().filter(|_| !is_off) else {
            return Ok(None);
        };
        let endpoint = parse_endpoint(endpoint)?;
        must_be("OTEL_TRACES_EXPORTER", raw.otel_traces_exporter.as_deref(), "otlp")?;
        must_be("OTEL_EXPORTER_OTLP_PROTOCOL", raw.otel_exporter_otlp_protocol.as_deref(), "http/protobuf")?;
        in_range("OTEL_EXPORTER_OTLP_TIMEOUT", &raw.otel_exporter_otlp_timeout, &(1..=60_000))?;
        in_range("OTEL_BSP_EXPORT_TIMEOUT", &raw.otel_bsp_export_timeout, &(1..=60_000))?;
        in_range("OTEL_BSP_SCHEDULE_DELAY", &raw.otel_bsp_schedule_delay, &(1..=60_000))?;
        in_range("OTEL_BSP_MAX_QUEUE_SIZE", &raw.otel_bsp_max_queue_size, &(1..=100_000))?;
        in_range("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", &raw.otel_bsp_max_export_batch_size, &(1..=10_000))?;
        let headers = HEADERS.read(&vars)?;
        headers
            .as_ref()
            .map(|headers| pairs(HEADERS.value, headers.expose_secret(), is_header))
            .transpose()?;
        Ok(Some(Self {
            endpoint,
            headers,
            timeout: Duration::from_millis(raw.otel_exporter_otlp_timeout.min(raw.otel_bsp_export_timeout)),
            schedule_delay: Duration::from_millis(raw.otel_bsp_schedule_delay),
            queue: raw.otel_bsp_max_queue_size,
            batch: raw.otel_bsp_max_export_batch_size.min(raw.otel_bsp_max_queue_size),
            sampler: sampler(raw.otel_traces_sampler.as_deref(), raw.otel_traces_sampler_arg.as_deref())?,
            incoming: incoming(raw.trace_incoming.as_deref())?,
            resource: resource(raw.otel_resource_attributes.as_deref(), raw.otel_service_name)?,
        }))
    }

    /// Whether the collector is reached without TLS.
    pub(super) fn is_plain(&self) -> bool {
        self.endpoint.scheme() == "http"
    }

    /// Where spans are sent.
    pub(super) fn traces_url(&self) -> String {
        format!("{}/v1/traces", self.endpoint.as_str().trim_end_matches('/'))
    }

    pub(super) fn headers(&self) -> HashMap<String, String> {
        let headers = self.headers.as_ref().map(|headers| {
            pairs(HEADERS.value, headers.expose_secret(), is_header).unwrap_or_default().into_iter().collect()
        });
        headers.unwrap_or_default()
    }
}

/// Variables of the specification that have no effect here. Those of metrics and logs are not about traces.
pub(super) fn without_effect(vars: &Vars) -> Vec<&str> {
    let is_about_others = |name: &str| ["METRIC", "LOG", "BLRP"].iter().any(|other| name.contains(other));
    let is_unknown =
        |name: &str| name.starts_with("OTEL_") && !KNOWN.contains(&name) && !is_about_others(name);
    let names = vars.iter().filter(|(name, value)| !value.is_empty() && is_unknown(name));
    names.map(|(name, _)| name.as_str()).collect()
}

fn is_of_traces(name: &str) -> bool {
    name.starts_with("OTEL_") || name == "TRACE_INCOMING"
}
