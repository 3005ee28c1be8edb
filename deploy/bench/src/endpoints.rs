//! Webhook endpoints, added and removed as operators do it.

use anyhow::{Context, Result};
use serde_json::Value;
use testkit::services::Operator;

/// Stay until [`Self::remove`].
pub(crate) struct Endpoints {
    operator: Operator,
    ids: Vec<String>,
}

impl Endpoints {
    pub(crate) fn of(operator: Operator) -> Self {
        Self { operator, ids: Vec::new() }
    }

    /// For events of this kind, or all.
    pub(crate) async fn add(&mut self, url: &str, kind: Option<&str>) -> Result<()> {
        let mut arguments = vec!["webhooks", "add", "--url", url];
        arguments.extend(kind.into_iter().flat_map(|kind| ["--kind", kind]));
        let added = self.operator.json(&arguments).await?;
        self.ids.push(added.get("id").and_then(Value::as_i64).context("the endpoint has no id")?.to_string());
        Ok(())
    }

    pub(crate) async fn pause(&self) -> Result<()> {
        self.each("pause").await
    }

    pub(crate) async fn resume(&self) -> Result<()> {
        self.each("resume").await
    }

    pub(crate) async fn remove(self) -> Result<()> {
        self.each("remove").await
    }

    async fn each(&self, command: &str) -> Result<()> {
        for id in &self.ids {
            self.operator.json(&["webhooks", command, id]).await?;
        }
        Ok(())
    }
}
