//! One of the services that are compared.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::services::Service;

use super::CALLERS;
use crate::report::Figure;
use crate::scenario::read::check_responses;
use crate::scenario::write::check_stored;
use crate::stage::{Stage, stop};
use crate::usage::cpu_time;
use crate::wrk::{self, Load, LoadResult, Pace};

const WARM_UP: Duration = Duration::from_secs(1);

/// A service that runs during all rounds, and its figures.
pub(super) struct Variant {
    service: Service,
    load: Load,
    /// Of its callers, the next one first; none if it does not demand any.
    tokens: Vec<String>,
    /// Of the caller who checks the responses.
    checker: Option<String>,
    requests: u64,
    per_second: Vec<f64>,
    /// CPU time of the process for a request, in microseconds.
    cpu_micros: Vec<f64>,
}

impl Variant {
    /// The last token is not used under load.
    pub(super) fn new(service: Service, load: Load, mut tokens: Vec<String>) -> Self {
        let checker = tokens.pop();
        let (per_second, cpu_micros) = (Vec::new(), Vec::new());
        Self { service, load, tokens, checker, requests: 0, per_second, cpu_micros }
    }

    /// Runs the load for a second.
    pub(super) async fn warm_up(&mut self, stage: &Stage) -> Result<()> {
        self.run(stage, WARM_UP).await.map(drop)
    }

    /// Adds the figures of a round.
    pub(super) async fn measure(&mut self, stage: &Stage, time: Duration) -> Result<()> {
        let (result, cpu) = self.run(stage, time).await?;
        self.per_second.push(result.per_second());
        let requests = u32::try_from(result.requests())?;
        self.cpu_micros.push(cpu.as_secs_f64() * 1e6 / f64::from(requests));
        Ok(())
    }

    /// The result, and the CPU time of the process.
    async fn run(&mut self, stage: &Stage, time: Duration) -> Result<(LoadResult, Duration)> {
        let shortest = match self.load {
            Load::PlaceOrders => {
                stage.empty().await?;
                stage.settle().await?;
                0
            }
            Load::ListOrders(customers) => {
                check_responses(stage, self.service.url(), self.checker.as_deref(), customers).await?
            }
        };
        let before = cpu_time(&self.service)?;
        let pace = Pace::max_rate(CALLERS, time);
        let result = wrk::run_with_tokens(self.load, &self.tokens, pace, self.service.url()).await?;
        let cpu = cpu_time(&self.service)?.saturating_sub(before);
        match self.load {
            Load::PlaceOrders => check_stored(stage, 0, result.requests()).await?,
            Load::ListOrders(_) => ensure!(
                result.bytes_each() >= shortest,
                "responses have {} bytes on average, and no list is shorter than {shortest}",
                result.bytes_each()
            ),
        }
        self.requests += result.requests();
        if let Some(next) = usize::try_from(result.requests())?.checked_rem(self.tokens.len()) {
            self.tokens.rotate_left(next);
        }
        Ok((result, cpu))
    }

    /// Requests per second, and CPU time of a request, beside those of the reference.
    pub(super) fn against(&self, reference: &Self, name: &str) -> [Figure; 2] {
        let (operation, rate_unit, cpu_unit) = match self.load {
            Load::PlaceOrders => ("write", "orders/s", "µs an order"),
            Load::ListOrders(_) => ("read", "lists/s", "µs a list"),
        };
        let service = self.service.kind().name();
        [
            Figure::new(format!("{operation}, {name}"), rate_unit, self.per_second.clone())
                .with_reference(reference.per_second.clone()),
            Figure::new(format!("{operation}, {name}: CPU of {service}"), cpu_unit, self.cpu_micros.clone())
                .with_reference(reference.cpu_micros.clone()),
        ]
    }

    /// The requests that got a response.
    pub(super) fn requests(&self) -> u64 {
        self.requests
    }

    /// How many tokens the service has verified so far, instead of finding them in its cache.
    pub(super) async fn verifications(&self, stage: &Stage) -> Result<u64> {
        let metrics = stage.http.get(format!("{}/metrics", self.service.admin_url())).send().await?;
        let metrics = metrics.error_for_status()?.text().await?;
        let count = metrics.lines().find_map(|line| line.strip_prefix("orders_auth_verifications_total "));
        Ok(count.context("the service does not count verifications")?.parse()?)
    }

    pub(super) fn stop(self) -> Result<()> {
        stop(self.service)
    }
}
