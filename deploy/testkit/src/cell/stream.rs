//! The stream of a customer's orders.

use anyhow::{Context, Result};
use reqwest::{Client, Response};
use serde_json::Value;

/// An open stream, with all that it has sent.
#[derive(Debug)]
pub struct OrderStream {
    response: Response,
    text: String,
    /// How much of the text [`Self::next_event`] has returned.
    read: usize,
}

/// An event of a stream.
#[derive(Debug)]
pub struct StreamEvent {
    /// A client that has this event can go on after it.
    pub id: Option<String>,
    /// `None` for a comment.
    pub name: Option<String>,
    /// Null for a comment.
    pub data: Value,
}

impl OrderStream {
    /// Begins with a snapshot, or goes on after the event with this id.
    pub async fn open(client: &Client, read_url: &str, customer: &str, after: Option<&str>) -> Result<Self> {
        let mut request = client.get(format!("{read_url}/customers/{customer}/orders/stream"));
        if let Some(id) = after {
            request = request.header("last-event-id", id);
        }
        Ok(Self { response: request.send().await?.error_for_status()?, text: String::new(), read: 0 })
    }

    /// The next event; `None` at the end.
    pub async fn next_event(&mut self) -> Result<Option<StreamEvent>> {
        loop {
            let rest = self.text.get(self.read..).unwrap_or_default();
            if let Some((event, _)) = rest.split_once("\n\n") {
                let event = event.to_owned();
                self.read += event.len() + 2;
                return parsed(&event).map(Some);
            }
            let Some(chunk) = self.response.chunk().await? else { return Ok(None) };
            self.text.push_str(&String::from_utf8_lossy(&chunk));
        }
    }

    /// All that was sent.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn parsed(event: &str) -> Result<StreamEvent> {
    let line = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let data = line("data:").map(serde_json::from_str).transpose().context("the data is no JSON")?;
    let [id, name] = ["id:", "event:"].map(|field| line(field).map(str::to_owned));
    Ok(StreamEvent { id, name, data: data.unwrap_or_default() })
}
