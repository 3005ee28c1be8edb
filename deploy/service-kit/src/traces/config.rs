//! The variables of traces. Their names are those of the OpenTelemetry specification.

use std::collections::HashMap;
use std::time::Duration;

use hyper::header::HeaderName;
use opentelemetry_sdk::trace::Sampler;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use crate::config::{self, ConfigError, Vars, in_range};
use crate::secret_file::SecretVariable;

const HEADERS: SecretVariable =
    SecretVariable { value: "OTEL_EXPORTER_OTLP_HEADERS", file: "OTEL_EXPORTER_OTLP_HEADERS_FILE" };

/// What an incoming `traceparent` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Incoming {
    /// The request begins a new trace, with a link to the caller's.
    #[default]
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
    #[serde(default)]
    otel_sdk_disabled: bool,
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
    #[serde(default)]
    trace_incoming: Incoming,
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
        let is_off = raw.otel_sdk_disabled || raw.otel_traces_exporter.as_deref() == Some("none");
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
            incoming: raw.trace_incoming,
            resource: resource(raw.otel_resource_attributes.as_deref(), raw.otel_service_name)?,
        }))
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

fn is_of_traces(name: &str) -> bool {
    name.starts_with("OTEL_") || name == "TRACE_INCOMING"
}

fn invalid(variable: &'static str, reason: impl Into<String>) -> ConfigError {
    ConfigError::Invalid { variable, reason: reason.into() }
}

fn must_be(variable: &'static str, value: Option<&str>, only: &str) -> Result<(), ConfigError> {
    match value {
        Some(value) if value != only => Err(invalid(variable, format!("must be {only}, not {value:?}"))),
        _ => Ok(()),
    }
}

fn parse_endpoint(value: &str) -> Result<Url, ConfigError> {
    const VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let url = Url::parse(value).map_err(|_| invalid(VARIABLE, "must be a URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid(VARIABLE, "must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(VARIABLE, "must have no user and no password: use OTEL_EXPORTER_OTLP_HEADERS"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid(VARIABLE, "must end with its path, to which /v1/traces is added"));
    }
    Ok(url)
}

/// `key=value,key=value`, where values are percent-encoded. Errors have no value: it may be secret.
fn pairs(
    variable: &'static str,
    text: &str,
    is_allowed: fn(&str, &str) -> bool,
) -> Result<Vec<(String, String)>, ConfigError> {
    let pair = |(index, pair): (usize, &str)| {
        let number = index + 1;
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| invalid(variable, format!("has no = in entry {number} of its list")))?;
        let value = percent_decode_str(value.trim()).decode_utf8();
        let value = value.map_err(|_| invalid(variable, format!("is not UTF-8 in entry {number}")))?;
        let key = key.trim();
        if !is_allowed(key, &value) {
            return Err(invalid(
                variable,
                format!("has a key or value in entry {number} that cannot be sent"),
            ));
        }
        Ok((key.to_owned(), value.into_owned()))
    };
    text.split(',').filter(|pair| !pair.trim().is_empty()).enumerate().map(pair).collect()
}

fn is_header(name: &str, value: &str) -> bool {
    name.parse::<HeaderName>().is_ok()
        && value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
}

fn resource(attributes: Option<&str>, service: Option<String>) -> Result<Vec<(String, String)>, ConfigError> {
    let is_allowed = |key: &str, _value: &str| !key.is_empty();
    let mut attributes = pairs("OTEL_RESOURCE_ATTRIBUTES", attributes.unwrap_or_default(), is_allowed)?;
    attributes.extend(service.map(|service| ("service.name".to_owned(), service)));
    Ok(attributes)
}

fn sampler(name: Option<&str>, argument: Option<&str>) -> Result<Sampler, ConfigError> {
    let ratio = || {
        let ratio = argument.map_or(Ok(1.0), str::parse);
        ratio.ok().filter(|ratio| (0.0..=1.0).contains(ratio)).ok_or_else(|| {
            let reason = format!("must be between 0 and 1, not {:?}", argument.unwrap_or_default());
            invalid("OTEL_TRACES_SAMPLER_ARG", reason)
        })
    };
    let by_parent = |root| Sampler::ParentBased(Box::new(root));
    Ok(match name.unwrap_or("parentbased_always_on") {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => Sampler::TraceIdRatioBased(ratio()?),
        "parentbased_always_on" => by_parent(Sampler::AlwaysOn),
        "parentbased_always_off" => by_parent(Sampler::AlwaysOff),
        "parentbased_traceidratio" => by_parent(Sampler::TraceIdRatioBased(ratio()?)),
        other => {
            let reason = format!(
                "must be always_on, always_off, traceidratio, or one of them after parentbased_, not {other:?}"
            );
            return Err(invalid("OTEL_TRACES_SAMPLER", reason));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &[(&str, &str)]) -> Result<Option<TracesConfig>, ConfigError> {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let has_endpoint = given.iter().any(|(name, _)| *name == endpoint.0);
        TracesConfig::from_vars(
            &given.iter().copied().chain((!has_endpoint).then_some(endpoint)).map(own).collect(),
        )
    }

    #[test]
    fn traces_are_off_without_an_endpoint_or_when_they_are_disabled() {
        assert!(TracesConfig::from_vars(&Vars::new()).unwrap().is_none());
        let off = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
            ("OTEL_SDK_DISABLED", "true"),
            ("OTEL_TRACES_EXPORTER", "none"),
        ];
        for (name, value) in off {
            assert!(read(&[(name, value)]).unwrap().is_none(), "{name}");
        }
    }

    #[test]
    fn the_path_of_the_signal_is_added_to_the_endpoint() {
        for (endpoint, expected) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("https://collector.example/otlp/", "https://collector.example/otlp/v1/traces"),
        ] {
            let config = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]).unwrap().unwrap();
            assert_eq!(config.traces_url(), expected);
        }
    }

    #[test]
    fn a_wrong_value_is_refused_by_name_and_a_header_is_never_shown() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://user:secret@collector"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector/?key=secret"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret%0Ax"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=secret"),
            ("OTEL_RESOURCE_ATTRIBUTES", "region"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
            ("TRACE_INCOMING", "always"),
        ] {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name) && !error.contains("secret"), "{name}={value}: {error}");
        }
        let ratio = [("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "1.5")];
        assert!(read(&ratio).unwrap_err().to_string().starts_with("OTEL_TRACES_SAMPLER_ARG"));
    }

    #[test]
    fn headers_and_attributes_are_percent_decoded_and_headers_stay_secret() {
        let config = read(&[
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20c2VjcmV0, x-tenant=shop"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,deployment.environment.name=a%2Cb"),
            ("OTEL_SERVICE_NAME", "orders"),
        ]);
        let config = config.unwrap().unwrap();
        let headers = config.headers();
        assert_eq!(headers.get("authorization").unwrap(), "Basic c2VjcmV0");
        assert_eq!(headers.get("x-tenant").unwrap(), "shop");
        assert!(!format!("{config:?}").contains("c2VjcmV0"));
        let attributes: HashMap<_, _> = config.resource.into_iter().collect();
        assert_eq!(attributes.get("service.name").unwrap(), "orders");
        assert_eq!(attributes.get("deployment.environment.name").unwrap(), "a,b");
    }
}
