//! What metrics and access lines cost: the same load with `ACCESS_LOG` at `off`, `errors` and `all`.

use anyhow::Result;

use super::auth::{Variant, round};
use super::read::{CUSTOMERS, ROWS};
use crate::plan::Plan;
use crate::report::{Figure, Target};
use crate::rows::fill_summaries;
use crate::stage::Stage;
use crate::wrk::{Customers, Load};

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let mut figures = compare(stage, plan, Load::PlaceOrders).await?;
    stage.empty().await?;
    let customers = plan.rows(CUSTOMERS);
    fill_summaries(stage, 1..plan.rows(ROWS) + 1, customers).await?;
    figures.extend(compare(stage, plan, Load::ListOrders(Customers::Zipf(customers))).await?);
    Ok(figures)
}

async fn compare(stage: &Stage, plan: Plan, load: Load) -> Result<Vec<Figure>> {
    let [mut off, mut errors, mut all] = ["off", "errors", "all"]
        .map(|level| Variant::open(load, false).with_variables(&[("ACCESS_LOG", level)]));
    let mut earlier = stage.has_earlier().then(|| Variant::open(load, true));
    for _ in 0..plan.rounds {
        let mut variants = vec![&mut off, &mut errors, &mut all];
        variants.extend(earlier.as_mut());
        round(stage, plan, load, variants).await?;
    }
    let mut figures = Vec::new();
    if let Some(earlier) = &earlier {
        let [rate, cpu] = off.against(earlier, "ACCESS_LOG=off (reference: the earlier commit)");
        figures.extend([rate, cpu.with(Target::RatioAtMost(1.03))]);
    }
    figures.extend(errors.against(&off, "ACCESS_LOG=errors (reference: off)"));
    figures.extend(all.against(&off, "ACCESS_LOG=all (reference: off)"));
    Ok(figures)
}
