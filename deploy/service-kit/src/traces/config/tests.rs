//! Which values are accepted, and what they mean.

use std::collections::HashMap;

use super::{TracesConfig, without_effect};
use crate::config::{ConfigError, Vars};

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
        ("OTEL_SDK_DISABLED", "TRUE"),
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
        ("OTEL_SDK_DISABLED", "1"),
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
fn a_variable_without_effect_is_named() {
    let vars: Vars = [
        ("OTEL_SDK_DISABLED", "False"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://collector:4318/v1/traces"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://collector:4318/v1/metrics"),
        ("OTEL_LOGS_EXPORTER", "none"),
        ("OTEL_PROPAGATORS", ""),
        ("OTEL_TRACES_SAMPLER", "always_on"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    let expected = ["OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
    assert_eq!(without_effect(&vars), expected);
    assert!(TracesConfig::from_vars(&vars).unwrap().is_none());
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
