//! What access tokens cost: the same load with `AUTH=jwt` and with `AUTH=off`; and what TLS
//! to PostgreSQL costs, where a server with TLS is given.

mod variant;

use std::time::Duration;

use anyhow::Result;

pub(super) use self::variant::Variant;
use super::read::{CUSTOMERS, ROWS};
use super::write::check_stored;
use crate::callers::Issuer;
use crate::plan::Plan;
use crate::report::{Figure, Target};
use crate::rows::fill_summaries;
use crate::stage::Stage;
use crate::wrk::{Customers, Load};

/// How many callers have a connection and a token.
pub(super) const CALLERS: u16 = 100;

/// Twice what the cache of verified tokens keeps.
const UNCACHED: u32 = 20_000;

/// The services take turns of this length: the machine's speed changes from one second to the next.
const SLICE: Duration = Duration::from_secs(1);

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let issuer = Issuer::new()?;
    let mut figures = compare(stage, plan, Load::PlaceOrders, &issuer).await?;
    stage.empty().await?;
    let customers = plan.rows(CUSTOMERS);
    fill_summaries(stage, 1..plan.rows(ROWS) + 1, customers).await?;
    figures.extend(compare(stage, plan, Load::ListOrders(Customers::Zipf(customers)), &issuer).await?);
    Ok(figures)
}

async fn compare(stage: &Stage, plan: Plan, load: Load, issuer: &Issuer) -> Result<Vec<Figure>> {
    let mut off = Variant::open(load, false);
    let mut cached = Variant::cached(load, issuer, CALLERS.into())?;
    let mut uncached = Variant::uncached(load, issuer, UNCACHED)?;
    let in_clear = |url: String| Variant::open(load, false).with_variables(&[("DATABASE_URL", &url)]);
    let mut clear = stage.url_in_clear(load.service())?.map(in_clear);
    let mut earlier = stage.has_earlier().then(|| Variant::open(load, true));
    for _ in 0..plan.rounds {
        let mut variants = vec![&mut off, &mut cached, &mut uncached];
        variants.extend(clear.iter_mut().chain(earlier.as_mut()));
        round(stage, plan, load, variants).await?;
    }
    let [rate, cpu] = cached.against(&off, "AUTH=jwt, 100 callers with shares (reference: AUTH=off)");
    let mut figures = vec![rate.with(Target::RatioAtLeast(0.95)), cpu];
    figures.extend(uncached.against(&off, "AUTH=jwt, uncached tokens (reference: AUTH=off)"));
    if let Some(clear) = &clear {
        figures.extend(off.against(clear, "TLS to PostgreSQL (reference: in clear)"));
    }
    if let Some(earlier) = &earlier {
        figures.extend(off.against(earlier, "AUTH=off (reference: the earlier commit)"));
    }
    Ok(figures)
}

/// Starts a process of each, and measures them in turn, to and fro.
pub(super) async fn round(stage: &Stage, plan: Plan, load: Load, variants: Vec<&mut Variant>) -> Result<()> {
    if let Load::PlaceOrders = load {
        stage.empty().await?;
    }
    stage.settle().await?;
    let mut running = Vec::new();
    for variant in variants {
        running.push(variant.start(stage, plan).await?);
    }
    for _ in 0..plan.seconds() {
        for one in &mut running {
            one.run().await?;
        }
        running.reverse();
    }
    let mut requests = 0;
    for one in running {
        requests += one.end(stage).await?;
    }
    if let Load::PlaceOrders = load {
        check_stored(stage, 0, requests).await?;
    }
    Ok(())
}
