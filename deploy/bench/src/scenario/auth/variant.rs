//! One of the services that are compared.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::services::Service;

use super::{CALLERS, SLICE};
use crate::callers::Issuer;
use crate::plan::Plan;
use crate::report::Figure;
use crate::scenario::read::check_responses;
use crate::stage::{Stage, stop};
use crate::usage::cpu_time;
use crate::wrk::{self, Load, Pace};

/// How often a service verifies the token of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verifies {
    /// `AUTH=off`.
    Never,
    /// Then it is in the cache.
    Once,
    /// In turn with more callers than the cache keeps.
    EachTime,
}

/// A service, and its figures of all rounds.
pub(in crate::scenario) struct Variant {
    load: Load,
    is_earlier: bool,
    verifies: Verifies,
    variables: Vec<(String, String)>,
    /// Requests per second; 0 for as many as possible.
    paced_at: u32,
    /// The next one first.
    tokens: Vec<String>,
    /// The token of who checks the responses.
    checker: Option<String>,
    per_second: Vec<f64>,
    /// Of each slice.
    p99_ms: Vec<f64>,
    /// CPU time of the process for a request, in microseconds.
    cpu_micros: Vec<f64>,
}

impl Variant {
    /// Nobody needs a token.
    pub(in crate::scenario) fn open(load: Load, is_earlier: bool) -> Self {
        Self {
            load,
            is_earlier,
            verifies: Verifies::Never,
            variables: Vec::new(),
            paced_at: 0,
            tokens: Vec::new(),
            checker: None,
            per_second: Vec::new(),
            p99_ms: Vec::new(),
            cpu_micros: Vec::new(),
        }
    }

    /// The same with these variables.
    pub(in crate::scenario) fn with_variables(mut self, variables: &[(&str, &str)]) -> Self {
        self.variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        self
    }

    /// The same with this many requests per second, instead of as many as possible.
    pub(in crate::scenario) fn at(self, per_second: u32) -> Self {
        Self { paced_at: per_second, ..self }
    }

    /// The 99th percentile of each slice.
    pub(in crate::scenario) fn p99_ms(&self) -> Vec<f64> {
        self.p99_ms.clone()
    }

    /// That many callers with tokens, each of which is verified once, and with shares, of which each uses a part.
    pub(super) fn cached(load: Load, issuer: &Issuer, callers: u32) -> Result<Self> {
        let (variables, mut tokens) = (issuer.variables(), issuer.tokens(callers + 1)?);
        let checker = tokens.pop();
        Ok(Self { verifies: Verifies::Once, variables, tokens, checker, ..Self::open(load, false) })
    }

    /// The same with more callers than the cache keeps. All verifications together count as one address, so this has no
    /// shares.
    pub(super) fn uncached(load: Load, issuer: &Issuer, callers: u32) -> Result<Self> {
        let variables = issuer.variables_without_shares();
        Ok(Self { verifies: Verifies::EachTime, variables, ..Self::cached(load, issuer, callers)? })
    }

    /// Starts a process, checks its responses, and warms it up.
    pub(super) async fn start<'a>(&'a mut self, stage: &Stage, plan: Plan) -> Result<Running<'a>> {
        let kind = self.load.service();
        let service = if self.is_earlier {
            stage.earlier_service(kind).await?
        } else {
            let variables = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            stage.service(kind, &variables.collect::<Vec<_>>()).await?
        };
        let shortest = match self.load {
            Load::PlaceOrders => 0,
            Load::ListOrders(customers) => {
                check_responses(stage, service.url(), self.checker.as_deref(), customers).await?
            }
        };
        let slices_before = self.p99_ms.len();
        let mut running = Running { variant: self, service, shortest, requests: 0, measured: Vec::new() };
        if plan.warms_up() {
            running.run().await?;
            running.measured.clear();
            running.variant.p99_ms.truncate(slices_before);
        }
        Ok(running)
    }

    /// Requests per second, and CPU time of a request, beside those of the reference.
    pub(in crate::scenario) fn against(&self, reference: &Self, name: &str) -> [Figure; 2] {
        let (operation, rate_unit, cpu_unit) = match self.load {
            Load::PlaceOrders => ("write", "orders/s", "µs an order"),
            Load::ListOrders(_) => ("read", "lists/s", "µs a list"),
        };
        let cpu_name = format!("{operation}, {name}: CPU of {}", self.load.service().name());
        [
            Figure::new(format!("{operation}, {name}"), rate_unit, self.per_second.clone())
                .with_reference(reference.per_second.clone()),
            Figure::new(cpu_name, cpu_unit, self.cpu_micros.clone())
                .with_reference(reference.cpu_micros.clone()),
        ]
    }
}

/// A process during a round.
pub(super) struct Running<'a> {
    variant: &'a mut Variant,
    service: Service,
    /// The size of the shortest response, in bytes.
    shortest: u64,
    requests: u64,
    /// Of each slice: the requests, and the CPU time of the process.
    measured: Vec<(u32, Duration)>,
}

impl Running<'_> {
    /// Measures it for a slice.
    pub(super) async fn run(&mut self) -> Result<()> {
        let Variant { load, tokens, paced_at, .. } = &mut *self.variant;
        let before = cpu_time(&self.service)?;
        let pace = Pace::at(*paced_at, CALLERS, SLICE);
        let result = wrk::run_with_tokens(*load, tokens, pace, self.service.url()).await?;
        let cpu = cpu_time(&self.service)?.saturating_sub(before);
        if let Some(next) = usize::try_from(result.requests())?.checked_rem(tokens.len()) {
            tokens.rotate_left(next);
        }
        ensure!(
            result.bytes_each() >= self.shortest,
            "responses have {} bytes on average, and none is shorter than {}",
            result.bytes_each(),
            self.shortest
        );
        self.requests += result.requests();
        self.variant.p99_ms.push(result.p99_ms());
        self.measured.push((result.requests().try_into()?, cpu));
        Ok(())
    }

    /// Ends it, and adds its figures. Returns how many requests it got.
    pub(super) async fn end(self, stage: &Stage) -> Result<u64> {
        self.check_cache(stage).await?;
        stop(self.service)?;
        let slices = u32::try_from(self.measured.len())?;
        let requests: u32 = self.measured.iter().map(|(requests, _)| requests).sum();
        let cpu: Duration = self.measured.iter().map(|(_, cpu)| cpu).sum();
        self.variant.per_second.push(f64::from(requests) / (SLICE * slices).as_secs_f64());
        self.variant.cpu_micros.push(cpu.as_secs_f64() * 1e6 / f64::from(requests));
        Ok(self.requests)
    }

    /// Checks how many tokens the service has verified, instead of finding them in its cache.
    async fn check_cache(&self, stage: &Stage) -> Result<()> {
        let Variant { verifies, tokens, .. } = &*self.variant;
        if *verifies == Verifies::Never {
            return Ok(());
        }
        let metrics = stage.http.get(format!("{}/metrics", self.service.admin_url())).send().await?;
        let metrics = metrics.error_for_status()?.text().await?;
        let count = metrics.lines().find_map(|line| line.strip_prefix("orders_auth_verifications_total "));
        let verified: u64 = count.context("the service does not count verifications")?.parse()?;
        // Each thread may verify a token before another one has done so.
        let threads = u64::try_from(std::thread::available_parallelism()?.get())?;
        let once = u64::try_from(tokens.len() + 1)? * threads;
        let is_as_meant =
            if *verifies == Verifies::Once { verified <= once } else { verified >= self.requests };
        ensure!(is_as_meant, "{verified} tokens were verified for {} requests", self.requests);
        Ok(())
    }
}
