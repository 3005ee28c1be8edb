//! The time from an order's commit until a client of the feed that waits for events has its event.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use testkit::services::ServiceKind;
use testkit::wait;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::arrivals::Arrivals;
use crate::plan::Plan;
use crate::report::{Figure, Target};
use crate::stage::{Stage, stop};
use crate::steady::SteadyOrders;

const ORDERS: SteadyOrders = SteadyOrders { per_second: 50, after: 0, every_hundredth: 1 };
const LIMIT: Duration = Duration::from_mins(1);
/// Until the client asks again after a failure.
const RETRY: Duration = Duration::from_millis(100);

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let projector = stage.service(ServiceKind::Projector, &[]).await?;
    let arrivals = Arrivals::default();
    let client = Client::start(stage, projector.url(), &arrivals).await?;
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        stage.empty().await?;
        arrivals.forget();
        let written = u64::from(ORDERS.write(stage, plan.time).await?);
        wait::until("all events from the feed", LIMIT, async || match arrivals.events() {
            arrived if arrived >= written => Ok(()),
            arrived => Err(format!("{arrived} of {written}, {}", client.last_failure())),
        })
        .await?;
        let delays = arrivals.delays(stage).await?;
        p50.push(delays.percentile(50)?);
        p99.push(delays.percentile(99)?);
    }
    drop(client);
    stop(projector)?;
    Ok(vec![
        Figure::new("commit to response, p50", "ms", p50),
        Figure::new("commit to response, p99", "ms", p99).with(Target::AtMost(50.0)),
    ])
}

/// Asks for events again and again until dropped.
struct Client {
    poll: AbortHandle,
    last_failure: watch::Receiver<String>,
}

impl Client {
    /// For the events that are logged from now on.
    async fn start(stage: &Stage, projector_url: &str, arrivals: &Arrivals) -> Result<Self> {
        let (http, arrivals) = (stage.http.clone(), arrivals.clone());
        let events = format!("{projector_url}/events");
        let mut checkpoint = page(&http, &events, "now", 0).await?.1;
        let (failed, last_failure) = watch::channel("no request failed".to_owned());
        let poll = async move {
            loop {
                match page(&http, &events, &checkpoint, 20).await {
                    Ok((page, next)) => {
                        let logged = page.get("events").and_then(Value::as_array);
                        for event in logged.into_iter().flatten().filter_map(|event| event.get("data")) {
                            let _noted = arrivals.note(0, event);
                        }
                        checkpoint = next;
                    }
                    // As a client of the feed does: reading while the tables are emptied can be a deadlock, so a 503.
                    Err(error) => {
                        failed.send_replace(format!("{error:#}"));
                        tokio::time::sleep(RETRY).await;
                    }
                }
            }
        };
        Ok(Self { poll: tokio::spawn(poll).abort_handle(), last_failure })
    }

    fn last_failure(&self) -> String {
        self.last_failure.borrow().clone()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.poll.abort();
    }
}

/// The page after this checkpoint, and its own.
async fn page(http: &reqwest::Client, events: &str, after: &str, wait: u8) -> Result<(Value, String)> {
    let request = http.get(format!("{events}?after={after}")).header("prefer", format!("wait={wait}"));
    let page: Value = request.send().await?.error_for_status()?.json().await?;
    let checkpoint = page.get("checkpoint").and_then(Value::as_str).context("no checkpoint")?.to_owned();
    Ok((page, checkpoint))
}
