//! What the feed sends of an order.

use std::time::Instant;

use anyhow::{Result, ensure};
use reqwest::Client;
use serde::Deserialize;

use super::{VISIBLE_LIMIT, print_line};

/// A reader of the feed.
pub(super) struct Feed {
    client: Client,
    url: String,
    checkpoint: String,
}

#[derive(Deserialize)]
struct Page {
    events: Vec<Event>,
    checkpoint: String,
}

#[derive(Deserialize)]
struct Event {
    position: i64,
    kind: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    order: Option<State>,
}

#[derive(Deserialize)]
struct State {
    order_id: String,
    version: i32,
    status: String,
}

impl Feed {
    /// Gets the events that are logged from now on.
    pub(super) async fn from_now_on(client: Client, projector_url: &str) -> Result<Self> {
        let mut feed = Self { client, url: format!("{projector_url}/events"), checkpoint: "now".to_owned() };
        feed.checkpoint = feed.page("wait=0").await?.checkpoint;
        Ok(feed)
    }

    async fn page(&self, wait: &str) -> Result<Page> {
        let url = format!("{}?after={}", self.url, self.checkpoint);
        Ok(self.client.get(url).header("prefer", wait).send().await?.error_for_status()?.json().await?)
    }

    /// Prints the order's events, up to this version.
    pub(super) async fn print(mut self, order_id: &str, version: i32) -> Result<()> {
        let (start, mut next) = (Instant::now(), 1);
        while next <= version {
            ensure!(start.elapsed() < VISIBLE_LIMIT, "the feed did not send version {next} of {order_id}");
            let page = self.page("wait=2").await?;
            for Event { position, kind, data } in page.events {
                if let Some(order) = data.order.filter(|order| order.order_id == order_id) {
                    ensure!(order.version == next, "the feed sent version {} for {next}", order.version);
                    next += 1;
                    print_line(&format!(
                        "  {position:<15}  {kind:<15}  {}, version {}",
                        order.status, order.version
                    ))?;
                }
            }
            self.checkpoint = page.checkpoint;
        }
        Ok(())
    }
}
