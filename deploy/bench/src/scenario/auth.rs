//! What access tokens cost: the same load with `AUTH=jwt` and with `AUTH=off`.

mod variant;

use anyhow::{Result, ensure};
use testkit::services::ServiceKind;

use self::variant::Variant;
use super::read::{CUSTOMERS, ROWS};
use crate::callers::Issuer;
use crate::plan::Plan;
use crate::report::{Figure, Target};
use crate::rows::fill_summaries;
use crate::stage::Stage;
use crate::wrk::{Customers, Load};

/// How many callers have a connection and a token.
const CALLERS: u16 = 100;

/// Twice what the cache of verified tokens keeps: used in turn, none is found in it.
const UNCACHED: u32 = 20_000;

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let issuer = Issuer::new()?;
    let mut figures = compare(stage, plan, Load::PlaceOrders, &issuer).await?;
    stage.empty().await?;
    let customers = plan.rows(CUSTOMERS);
    fill_summaries(stage, 1..plan.rows(ROWS) + 1, customers).await?;
    stage.settle().await?;
    figures.extend(compare(stage, plan, Load::ListOrders(Customers::Zipf(customers)), &issuer).await?);
    Ok(figures)
}

async fn compare(stage: &Stage, plan: Plan, load: Load, issuer: &Issuer) -> Result<Vec<Figure>> {
    let kind = match load {
        Load::PlaceOrders => ServiceKind::WriteApi,
        Load::ListOrders(_) => ServiceKind::ReadApi,
    };
    let mut off = Variant::new(stage.service(kind, &[]).await?, load, Vec::new());
    let mut cached = with_tokens(stage, kind, load, issuer, CALLERS.into()).await?;
    let mut uncached = with_tokens(stage, kind, load, issuer, UNCACHED).await?;
    let mut earlier = Vec::new();
    if stage.has_earlier() {
        earlier.push(Variant::new(stage.earlier_service(kind).await?, load, Vec::new()));
    }
    let variants = [&mut off, &mut cached, &mut uncached].into_iter().chain(&mut earlier);
    run(stage, plan, variants.collect()).await?;
    check_cache(stage, &cached, &uncached).await?;
    let mut figures = Vec::from(cached.against(&off, "AUTH=jwt, 100 callers (reference: AUTH=off)"));
    if let Some(rate) = figures.first_mut() {
        rate.target = Some(Target::RatioAtLeast(0.95));
    }
    figures.extend(uncached.against(&off, "AUTH=jwt, uncached tokens (reference: AUTH=off)"));
    for earlier in &earlier {
        let [rate, cpu] = off.against(earlier, "AUTH=off (reference: the earlier commit)");
        figures.extend([rate, cpu.with(Target::RatioAtMost(1.05))]);
    }
    for variant in [off, cached, uncached].into_iter().chain(earlier) {
        variant.stop()?;
    }
    Ok(figures)
}

async fn run(stage: &Stage, plan: Plan, mut variants: Vec<&mut Variant>) -> Result<()> {
    for variant in &mut variants {
        variant.warm_up(stage).await?;
    }
    for _ in 0..plan.rounds {
        for variant in &mut variants {
            variant.measure(stage, plan.time).await?;
        }
        // The machine may slow down during a round: each is first as often.
        variants.rotate_left(1);
    }
    Ok(())
}

async fn with_tokens(
    stage: &Stage,
    kind: ServiceKind,
    load: Load,
    issuer: &Issuer,
    callers: u32,
) -> Result<Variant> {
    let variables = issuer.variables();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Ok(Variant::new(stage.service(kind, &variables).await?, load, issuer.tokens(callers + 1)?))
}

/// Checks that one service found every token in its cache but once for each thread, and the other none.
async fn check_cache(stage: &Stage, cached: &Variant, uncached: &Variant) -> Result<()> {
    let verified = cached.verifications(stage).await?;
    let threads = u64::try_from(std::thread::available_parallelism()?.get())?;
    let most = (u64::from(CALLERS) + 1) * threads;
    ensure!(verified <= most, "{verified} tokens of {CALLERS} callers were verified");
    let (verified, requests) = (uncached.verifications(stage).await?, uncached.requests());
    ensure!(verified >= requests, "{verified} tokens were verified for {requests} requests");
    Ok(())
}
