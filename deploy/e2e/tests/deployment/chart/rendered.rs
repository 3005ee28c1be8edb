//! What the chart renders.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::commands::run;

pub(crate) const CHART: &str = "deploy/helm/orders";

/// What an installation must say for itself.
pub(crate) const REQUIRED: [&str; 4] = [
    "image.registry=registry.example/orders",
    "auth.issuer=https://issuer.example",
    "auth.audience=orders",
    "auth.jwksSecret=orders-issuer",
];

/// What it must say besides with `values-production.yaml`, and what else it can say.
const PRODUCTION: [&str; 14] = [
    "httpRoute.parentRefs[0].name=shop",
    "httpRoute.hostnames[0]=shop.example",
    "trustedProxies=10.0.0.0/8",
    "traces.endpoint=http://collector.example:4318",
    "traces.headersSecret=orders-traces",
    "readApi.previousCursorSecret=orders-cursor-key-1",
    "monitoring.labels.release=prometheus",
    "databaseCa.secret=orders-db-ca",
    "image.pullSecrets[0].name=registry",
    "pods.labels.team=shop",
    "pods.annotations.owner=shop",
    "pods.nodeSelector.disk=ssd",
    "pods.tolerations[0].key=shop",
    "restart=again",
];

/// A number as a file of values has it.
const NUMBER: [&str; 2] = ["--set-json", r#"readApi.env={"RATE_LIMIT_SERVICE_PER_S":1000000}"#];

/// The text that the release gets with these values.
pub(crate) fn render(release: &str, values: &[&str]) -> Result<String> {
    let settings = REQUIRED.iter().chain(values).flat_map(|value| ["--set", value]);
    run("helm", ["template", release, CHART].into_iter().chain(settings))
}

/// The same for production.
pub(crate) fn render_production(release: &str, values: &[&str]) -> Result<String> {
    let file = ["--values", "deploy/helm/orders/values-production.yaml"];
    let settings = REQUIRED.iter().chain(&PRODUCTION).chain(values).flat_map(|value| ["--set", value]);
    run("helm", ["template", release, CHART].into_iter().chain(file).chain(NUMBER).chain(settings))
}

pub(crate) fn documents(text: &str) -> Result<Vec<Value>> {
    let parts = text.split("\n---").filter(|part| part.lines().any(|line| line.starts_with("kind:")));
    parts.map(|part| serde_saphyr::from_str(part).context(part.to_owned())).collect()
}

/// The documents of a kind, by name.
pub(crate) fn of_kind<'a>(documents: &'a [Value], kind: &str) -> Vec<(&'a str, &'a Value)> {
    let of_kind = documents.iter().filter(|document| document["kind"] == kind);
    of_kind.filter_map(|document| Some((document["metadata"]["name"].as_str()?, document))).collect()
}

/// Pods of Deployments and Jobs, by the name of their container: that of the program.
pub(crate) fn pods(documents: &[Value]) -> Vec<(&str, &Value)> {
    let pods = documents.iter().map(|document| &document["spec"]["template"]["spec"]);
    pods.filter_map(|pod| Some((pod["containers"][0]["name"].as_str()?, pod))).collect()
}

pub(crate) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
