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

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let accepts = Collector::start(Mode::Discard).await?;
    let (hangs, refuses) = (Collector::start(Mode::Hang).await?, Collector::start(Mode::Refuse(503)).await?);
    let mut off = Variant::open(Load::PlaceOrders, false);
    let mut traced = [
        ("traces of 1 % (reference: off)", accepts.url(), "0.01"),
        ("traces of 100 % (reference: off)", accepts.url(), "1"),
        ("traces of 100 %, a dead collector (reference: off)", DEAD, "1"),
        ("traces of 100 %, a collector that hangs (reference: off)", hangs.url(), "1"),
        ("traces of 100 %, a collector that refuses (reference: off)", refuses.url(), "1"),
    ]
    .map(|(name, url, ratio)| {
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", url),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", ratio),
        ];
        (name, Variant::open(Load::PlaceOrders, false).with_variables(&variables))
    });
    for _ in 0..plan.rounds {
        let variants = [&mut off].into_iter().chain(traced.iter_mut().map(|(_, variant)| variant));
        round(stage, plan, Load::PlaceOrders, variants.collect()).await?;
    }
    let mut figures = Vec::new();
    for (name, variant) in &traced {
        figures.extend(variant.against(&off, name));
        let p99 = Figure::new(format!("{name}, {CALLERS} connections, p99"), "ms", variant.p99_ms());
        figures.push(p99.with_reference(off.p99_ms()));
    }
    // The rate with few traces: within the noise of none.
    if let Some(few) = figures.first_mut() {
        *few = few.clone().with(Target::RatioAtLeast(0.97));
    }
    Ok(figures)
}
