//! The operations of the OpenAPI documents.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::Value;

/// An operation, as its document describes it.
pub(super) struct Operation {
    /// The URL of the service.
    pub(super) service: String,
    pub(super) method: Method,
    pub(super) path: String,
    /// The scopes under `security`.
    pub(super) scopes: BTreeSet<String>,
    pub(super) document: Value,
}

impl Display for Operation {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.method, self.path)
    }
}

/// The operations of the service at this URL. Its document needs no token.
pub(super) async fn of(service: &str) -> Result<Vec<Operation>> {
    let document = reqwest::get(format!("{service}/openapi.json")).await?.error_for_status()?;
    let document: Value = document.json().await?;
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().context("no paths")? {
        for (method, operation) in item.as_object().context("no operations")? {
            operations.push(Operation {
                service: service.to_owned(),
                method: method.to_uppercase().parse()?,
                path: path.clone(),
                scopes: scopes(operation)?,
                document: operation.clone(),
            });
        }
    }
    Ok(operations)
}

/// One alternative for each scope: with two scopes in one, both would be needed.
fn scopes(operation: &Value) -> Result<BTreeSet<String>> {
    let mut scopes = BTreeSet::new();
    for way in operation["security"].as_array().context("no security")? {
        let [scope] = way["token"].as_array().context("another scheme")?.as_slice() else {
            anyhow::bail!("not one scope: {way}")
        };
        scopes.insert(scope.as_str().context("no scope")?.to_owned());
    }
    Ok(scopes)
}
