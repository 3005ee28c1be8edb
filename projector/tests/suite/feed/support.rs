//! A projector with its feed.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use projector::{Config, Projector, ProjectorError};
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use testkit::wait;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::metrics::until_metric;
use crate::support::Scene;

pub(super) const SOON: Duration = Duration::from_secs(30);

/// A running projector; dropping it stops it.
pub(super) struct Feed {
    pub(super) url: String,
    pub(super) admin: SocketAddr,
    client: Client,
    stop: DropGuard,
    running: JoinHandle<Result<(), ProjectorError>>,
}

impl Feed {
    pub(super) fn start(scene: &Scene, variables: &[(&str, &str)]) -> Result<Self> {
        let mut vars = scene.vars();
        vars.retain(|(name, _)| variables.iter().all(|(other, _)| name != other));
        vars.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let stop = CancellationToken::new();
        let projector = Projector::start(&Config::from_vars(&vars)?, projector::projections(), stop.clone())?;
        let (url, admin) = (format!("http://{}", projector.feed_address()), projector.address());
        let running = tokio::spawn(projector.run());
        Ok(Self { url, admin, client: Client::new(), stop: stop.drop_guard(), running })
    }

    /// Stops it as SIGTERM does, and waits for its end.
    pub(super) async fn stop(self) -> Result<()> {
        drop(self.stop);
        Ok(self.running.await??)
    }

    /// Requests `/events` with this query; waits up to `seconds`.
    pub(super) async fn get(&self, query: &str, seconds: u64) -> Result<Response> {
        let request = self.client.get(format!("{}/events?{query}", self.url));
        let request = if seconds > 0 { request.header("prefer", format!("wait={seconds}")) } else { request };
        Ok(request.send().await?)
    }

    /// A page, without waiting.
    pub(super) async fn page(&self, query: &str) -> Result<Page> {
        self.page_within(query, 0).await
    }

    /// A page, after up to `seconds`. After a 503 it tries again, as `Retry-After` says: the machine may be busy.
    pub(super) async fn page_within(&self, query: &str, seconds: u64) -> Result<Page> {
        let page = wait::until("a page", SOON, || async {
            let response = self.get(query, seconds).await;
            match response {
                Ok(response) if response.status() == StatusCode::SERVICE_UNAVAILABLE => Err("503"),
                other => Ok(other),
            }
        });
        Ok(Page(page.await??.error_for_status()?.json().await?))
    }

    /// The checkpoint after the newest event, once the log has this many.
    pub(super) async fn end_of(&self, scene: &Scene, events: i64) -> Result<String> {
        scene.until_logged(events).await?;
        Ok(self.page("limit=1000").await?.checkpoint().to_owned())
    }

    pub(super) async fn until_waiting(&self, requests: f64) -> Result<()> {
        until_metric(self.admin, "orders_feed_waiting", |waiting| waiting == requests).await
    }
}

/// A page of the feed.
#[derive(Debug, Clone)]
pub(super) struct Page(pub(super) Value);

impl Page {
    pub(super) fn checkpoint(&self) -> &str {
        self.0.get("checkpoint").and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn has_more(&self) -> bool {
        self.0.get("has_more") == Some(&Value::Bool(true))
    }

    pub(super) fn events(&self) -> &[Value] {
        self.0.get("events").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn kinds(&self) -> Vec<&str> {
        self.events().iter().filter_map(|event| event.get("kind")?.as_str()).collect()
    }

    /// The orders with their versions.
    pub(super) fn versions(&self) -> Vec<(String, i64)> {
        let order = |event: &Value| {
            let order = event.pointer("/data/order")?;
            Some((order.get("order_id")?.as_str()?.to_owned(), order.get("version")?.as_i64()?))
        };
        self.events().iter().filter_map(order).collect()
    }
}

impl Scene {
    /// Waits until the log has this many events.
    pub(super) async fn until_logged(&self, events: i64) -> Result<()> {
        wait::until("the events to be logged", SOON, || async {
            let logged = self.count("event_log").await;
            if matches!(logged, Ok(logged) if logged == events) { Ok(()) } else { Err(logged) }
        })
        .await?;
        Ok(())
    }
}

/// The problem document of a response with this status.
pub(super) async fn problem(response: Response, status: StatusCode) -> Result<Value> {
    assert_eq!(response.status(), status);
    let content_type = response.headers().get("content-type").context("no type")?;
    assert_eq!(content_type, "application/problem+json");
    Ok(response.json().await?)
}
