//! The delay of other events while one in a hundred is refused.

use anyhow::{Result, ensure};
use testkit::services::ServiceKind;

use super::UNKNOWN_TOTAL;
use crate::outbox::{last_id, wait_until_drained};
use crate::plan::Plan;
use crate::report::{Figure, Target};
use crate::stage::{Stage, stop};
use crate::steady::SteadyOrders;

const EVENTS_PER_SECOND: u32 = 500;
/// One in a hundred events is refused.
const ORDERS: SteadyOrders =
    SteadyOrders { per_second: EVENTS_PER_SECOND, after: 0, every_hundredth: UNKNOWN_TOTAL };

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Figure> {
    let mut p99 = Vec::new();
    for _ in 0..plan.rounds {
        stage.empty().await?;
        let projector = stage.service(ServiceKind::Projector, &[]).await?;
        let written = ORDERS.write(stage, plan.time).await?;
        let last = last_id(stage).await?;
        wait_until_drained(stage, last - i64::from(written) + 1, last).await?;
        stop(projector)?;
        ensure!(stage.count("parked_events").await? > 0, "nothing was refused");
        p99.push(ORDERS.delay_ms(stage, 0.99).await?);
    }
    let name = format!(
        "{EVENTS_PER_SECOND} events a second, 1 in 100 refused: commit to visible of other events, p99"
    );
    Ok(Figure::new(name, "ms", p99).with(Target::AtMost(50.0)))
}
