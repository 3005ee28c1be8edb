//! What the statements of read-api cost.

use anyhow::{Context, Result};
use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage};

/// The text of the statement with this name.
pub(crate) fn statement(name: &str) -> Result<String> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/adapter/postgres");
    Ok(std::fs::read_to_string(format!("{directory}/{name}.sql"))?)
}

/// The number of pages that the statement reads, and of rows that it returns.
pub(crate) async fn cost(session: &Client, name: &str, arguments: &str) -> Result<(i64, i64)> {
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {name}{arguments}");
    let messages = session.simple_query(&explain).await?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    let plan: Value = serde_json::from_str(row.context("no plan")?)?;
    let count = |field: &'static str| -> Result<i64> {
        let value = plan.pointer(&format!("/0/Plan/{field}")).and_then(Value::as_f64).context(field)?;
        // PostgreSQL 18 writes row counts with decimals.
        Ok(format!("{value:.0}").parse()?)
    };
    Ok((count("Shared Hit Blocks")? + count("Shared Read Blocks")?, count("Actual Rows")?))
}
