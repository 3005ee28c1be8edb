//! Streams of server-sent events.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use reqwest::Response;
use serde_json::Value;

use super::{SOON, number};

/// A stream of server-sent events.
pub(crate) struct Events {
    pub(crate) response: Response,
    text: String,
    /// The highest version of each order that was received.
    known: BTreeMap<i64, i64>,
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) data: Value,
}

impl Event {
    /// Number and version, if this is an `order` event.
    pub(crate) fn order(&self) -> Option<(i64, i64)> {
        (self.name == "order").then(|| number_and_version(&self.data))?
    }
}

impl Events {
    pub(crate) fn new(response: Response) -> Self {
        Self { response, text: String::new(), known: BTreeMap::new() }
    }

    /// The next event, or `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let rest = self.text.split_off(end + 2);
                let event = parse(&std::mem::replace(&mut self.text, rest))?;
                if let Some(event) = event {
                    let snapshot = event.data.get("orders").and_then(Value::as_array).into_iter().flatten();
                    self.known.extend(snapshot.filter_map(number_and_version));
                    return Ok(Some(event));
                }
            }
            let chunk =
                tokio::time::timeout(SOON, self.response.chunk()).await.context("no event came")??;
            let Some(chunk) = chunk else { return Ok(None) };
            self.text.push_str(std::str::from_utf8(&chunk)?);
        }
    }

    /// What was received after the last whole event.
    pub(crate) fn rest(&self) -> &str {
        &self.text
    }

    /// The next new version of an order, and the id of the event. Changes are repeated while a transaction of another
    /// test runs on the same server, so versions that are already known are skipped.
    pub(crate) async fn next_order(&mut self) -> Result<((i64, i64), String)> {
        loop {
            let event = self.next().await?.context("the stream has ended")?;
            let Some((number, version)) = event.order() else { continue };
            if self.known.get(&number).is_none_or(|known| *known < version) {
                self.known.insert(number, version);
                return Ok(((number, version), event.id));
            }
        }
    }
}

fn number_and_version(order: &Value) -> Option<(i64, i64)> {
    Some((number(order)?, order.get("version")?.as_i64()?))
}

/// Parses the lines of an event; `None` if they are not an event, such as `retry`.
fn parse(block: &str) -> Result<Option<Event>> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let Some(name) = field("event") else { return Ok(None) };
    let data = serde_json::from_str(field("data").context("an event without data")?)?;
    let id = field("id").context("an event without id")?.to_owned();
    Ok(Some(Event { name: name.to_owned(), id, data }))
}
