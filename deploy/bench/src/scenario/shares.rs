//! What one caller far over its share costs another at half of its own.

use std::convert::Infallible;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use reqwest::{Client, StatusCode};
use testkit::services::{Service, ServiceKind};
use tokio::time::interval;

use super::read::{CUSTOMERS, ROWS};
use crate::callers::Issuer;
use crate::plan::Plan;
use crate::report::{Figure, Target};
use crate::rows::fill_summaries;
use crate::stage::{Stage, stop};
use crate::wrk::{self, Customers, Load, Pace};

/// The default share of a customer, in requests a second.
const SHARE_PER_S: u32 = 100;

/// Requests at a time, of each of the two.
const CONNECTIONS: u16 = 4;

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let customers = plan.rows(CUSTOMERS);
    fill_summaries(stage, 1..plan.rows(ROWS) + 1, customers).await?;
    stage.settle().await?;
    let issuer = Issuer::new()?;
    let variables = issuer.variables();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let read_api = stage.service(ServiceKind::ReadApi, &variables).await?;
    let [mut alone, mut beside] = [const { Vec::new() }; 2];
    let counts = Counts::default();
    let load = Load::ListOrders(Customers::Uniform(1));
    let (within, beyond) = (issuer.customer_token(1)?, issuer.customer_token(2)?);
    let tokens = [within];
    let pace = Pace::at(SHARE_PER_S / 2, CONNECTIONS, plan.times(2));
    for _ in 0..plan.rounds {
        alone.push(wrk::run_with_tokens(load, &tokens, pace, read_api.url()).await?.p99_ms());
        let measured = tokio::select! {
            measured = wrk::run_with_tokens(load, &tokens, pace, read_api.url()) => measured?,
            ended = ask_too_often(&stage.http, &read_api, &beyond, &counts) => match ended? {},
        };
        beside.push(measured.p99_ms());
    }
    stop(read_api)?;
    counts.check()?;
    let name = "lists at half of a share, another caller at 10 × its own (reference: alone), p99";
    let figure = Figure::new(name, "ms", beside).with_reference(alone).with(Target::RatioAtMost(2.0));
    Ok(vec![figure])
}

/// Requests of the caller beyond its share.
#[derive(Default)]
struct Counts {
    served: AtomicU32,
    refused: AtomicU32,
}

impl Counts {
    /// Most of them must have been refused, or there was no share.
    fn check(self) -> Result<()> {
        let [served, refused] = [self.served.into_inner(), self.refused.into_inner()];
        ensure!(refused > served, "{served} requests beyond the share were served, and {refused} refused");
        Ok(())
    }
}

/// Sends requests at ten times the share, until it is dropped.
async fn ask_too_often(
    client: &Client,
    read_api: &Service,
    token: &str,
    counts: &Counts,
) -> Result<Infallible> {
    let part = || ask_a_part(client, read_api, token, counts);
    let (ended, ..) = tokio::try_join!(part(), part(), part(), part())?;
    match ended {}
}

/// One of [`CONNECTIONS`].
async fn ask_a_part(client: &Client, read_api: &Service, token: &str, counts: &Counts) -> Result<Infallible> {
    let mut tick = interval(Duration::from_secs(1) * u32::from(CONNECTIONS) / (10 * SHARE_PER_S));
    let url = format!("{}/customers/customer-2/orders?limit=20", read_api.url());
    loop {
        tick.tick().await;
        let response = client.get(&url).bearer_auth(token).send().await?;
        match response.status() {
            StatusCode::OK => counts.served.fetch_add(1, Relaxed),
            StatusCode::TOO_MANY_REQUESTS => counts.refused.fetch_add(1, Relaxed),
            other => bail!("{other}"),
        };
        response.bytes().await?;
    }
}
