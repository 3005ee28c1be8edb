//! Checks and parses the values of single variables.

use hyper::header::HeaderName;
use opentelemetry_sdk::trace::Sampler;
use percent_encoding::percent_decode_str;
use url::Url;

use super::Incoming;
use crate::config::ConfigError;

pub(super) fn invalid(variable: &'static str, reason: impl Into<String>) -> ConfigError {
    ConfigError::Invalid { variable, reason: reason.into() }
}

pub(super) fn must_be(variable: &'static str, value: Option<&str>, only: &str) -> Result<(), ConfigError> {
    match value {
        Some(value) if value != only => Err(invalid(variable, format!("must be {only}, not {value:?}"))),
        _ => Ok(()),
    }
}

/// The specification: without regard to case.
pub(super) fn boolean(variable: &'static str, value: Option<&str>) -> Result<bool, ConfigError> {
    match value.unwrap_or("false") {
        text if text.eq_ignore_ascii_case("true") => Ok(true),
        text if text.eq_ignore_ascii_case("false") => Ok(false),
        other => Err(invalid(variable, format!("must be true or false, not {other:?}"))),
    }
}

pub(super) fn incoming(value: Option<&str>) -> Result<Incoming, ConfigError> {
    match value.unwrap_or("link") {
        "link" => Ok(Incoming::Link),
        "trust" => Ok(Incoming::Trust),
        other => Err(invalid("TRACE_INCOMING", format!("must be `link` or `trust`, not {other:?}"))),
    }
}

pub(super) fn parse_endpoint(value: &str) -> Result<Url, ConfigError> {
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
pub(super) fn pairs(
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

pub(super) fn is_header(name: &str, value: &str) -> bool {
    name.parse::<HeaderName>().is_ok()
        && value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
}

pub(super) fn resource(
    attributes: Option<&str>,
    service: Option<String>,
) -> Result<Vec<(String, String)>, ConfigError> {
    let is_allowed = |key: &str, _value: &str| !key.is_empty();
    let mut attributes = pairs("OTEL_RESOURCE_ATTRIBUTES", attributes.unwrap_or_default(), is_allowed)?;
    attributes.extend(service.map(|service| ("service.name".to_owned(), service)));
    Ok(attributes)
}

pub(super) fn sampler(name: Option<&str>, argument: Option<&str>) -> Result<Sampler, ConfigError> {
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
