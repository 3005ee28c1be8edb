//! What processes, connections and orders take: memory, WAL and bytes in tables. For those who size an installation.

mod clients;
mod memory;
mod orders;

use anyhow::Result;

use crate::plan::Plan;
use crate::report::Figure;
use crate::stage::Stage;

/// The figures of one round, in the same order in each.
#[derive(Default)]
struct Sizes(Vec<(String, &'static str, f64)>);

impl Sizes {
    fn add(&mut self, name: impl Into<String>, unit: &'static str, value: f64) {
        self.0.push((name.into(), unit, value));
    }
}

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Vec<Figure>> {
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        let mut sizes = Sizes::default();
        orders::measure(stage, plan, &mut sizes).await?;
        memory::measure(stage, plan, &mut sizes).await?;
        rounds.push(sizes);
    }
    let values = |index: usize| rounds.iter().filter_map(|Sizes(sizes)| Some(sizes.get(index)?.2)).collect();
    let first = rounds.first().map(|Sizes(sizes)| sizes.as_slice()).unwrap_or_default();
    let figures = first.iter().enumerate();
    Ok(figures.map(|(index, (name, unit, _))| Figure::new(name.as_str(), unit, values(index))).collect())
}
