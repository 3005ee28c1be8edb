//! What traces cost: the same orders with traces off, of one request in a hundred, and of all; and of all while the
//! collector is dead, hangs or refuses.

use anyhow::Result;
use testkit::otlp::{Collector, Mode};

use super::auth::{CALLERS, Variant, round};
use crate::plan::Plan;
use crate::report::{Figure, Target};
use crate::stage::Stage;
use crate::wrk::Load;

/// Nothing listens at this port.
const DEAD: &str = "http://127.0.0.1:1";

/// Orders a second at which delays are compared. At the highest rate they only say how long the queue is.
const PACE: u32 = 1_000;

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let accepts = Collector::start(Mode::Discard).await?;
    let (hangs, refuses) = (Collector::start(Mode::Hang).await?, Collector::start(Mode::Refuse(503)).await?);
    let cases = [
        ("traces of 1 % (reference: off)", accepts.url(), "0.01"),
        ("traces of 100 % (reference: off)", accepts.url(), "1"),
        ("traces of 100 %, a dead collector (reference: off)", DEAD, "1"),
        ("traces of 100 %, a collector that hangs (reference: off)", hangs.url(), "1"),
        ("traces of 100 %, a collector that refuses (reference: off)", refuses.url(), "1"),
    ];
    let mut figures = compare(stage, plan, &cases, 0).await?;
    // The rate with few traces: within the noise of none.
    if let Some(few) = figures.first_mut() {
        *few = few.clone().with(Target::RatioAtLeast(0.97));
    }
    figures.extend(compare(stage, plan, &cases, PACE).await?);
    Ok(figures)
}

/// At this many orders a second, or as many as possible if it is 0.
async fn compare(
    stage: &Stage,
    plan: Plan,
    cases: &[(&'static str, &str, &str)],
    per_second: u32,
) -> Result<Vec<Figure>> {
    let mut off = Variant::open(Load::PlaceOrders, false).at(per_second);
    let mut traced: Vec<_> = cases.iter().map(|case| (case.0, traced(case, per_second))).collect();
    for _ in 0..plan.rounds {
        let variants = [&mut off].into_iter().chain(traced.iter_mut().map(|(_, variant)| variant));
        round(stage, plan, Load::PlaceOrders, variants.collect()).await?;
    }
    let mut figures = Vec::new();
    for (name, variant) in &traced {
        if per_second == 0 {
            figures.extend(variant.against(&off, name));
        } else {
            let name = format!("{name}, {per_second} orders/s over {CALLERS} connections, p99");
            let p99 = Figure::new(name, "ms", variant.p99_ms()).with_reference(off.p99_ms());
            figures.push(p99.with(Target::RatioAtMost(1.1)));
        }
    }
    Ok(figures)
}

fn traced((_, url, ratio): &(&str, &str, &str), per_second: u32) -> Variant {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", *url),
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", ratio),
    ];
    Variant::open(Load::PlaceOrders, false).with_variables(&variables).at(per_second)
}
