//! What the event log costs: a backlog of events projected with it and without.

use anyhow::Result;

use super::drain::{Drained, EVENTS, drain};
use crate::plan::Plan;
use crate::report::{Figure, Target};
use crate::stage::Stage;

/// As by default.
const KEPT_DAYS: &str = "7";
/// Events are not logged.
const OFF: &str = "0";

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 0..plan.rounds {
        // The machine may slow down during a round: both are first as often.
        let order = if round.is_multiple_of(2) { [KEPT_DAYS, OFF] } else { [OFF, KEPT_DAYS] };
        for days in order {
            stage.operator()?.json(&["log", "retention", "--days", days]).await?;
            let drained = drain(stage, 1, plan.rows(EVENTS)).await?;
            if days == OFF { &mut without } else { &mut with }.push(drained);
        }
    }
    stage.operator()?.json(&["log", "retention", "--days", KEPT_DAYS]).await?;
    let rate = |of: &[Drained]| of.iter().map(|drained| drained.per_second).collect();
    let wal = |of: &[Drained]| of.iter().map(|drained| drained.wal_of_each).collect();
    Ok(vec![
        Figure::new("drain with the event log (reference: without)", "events/s", rate(&with))
            .with_reference(rate(&without))
            .with(Target::RatioAtLeast(0.8)),
        Figure::new("WAL of an event with the event log (reference: without)", "bytes", wal(&with))
            .with_reference(wal(&without)),
    ])
}
