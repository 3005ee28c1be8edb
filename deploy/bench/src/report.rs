//! Figures, their references and their targets.

use std::fmt::Write;

use serde::Serialize;

/// One figure, measured in several rounds.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    /// Set by the runner of the scenarios.
    pub(crate) scenario: &'static str,
    name: String,
    unit: &'static str,
    /// One value per round; never empty.
    ours: Vec<f64>,
    /// One value per round, measured in the same round; empty without a reference.
    reference: Vec<f64>,
    /// `None` if it is only informative.
    pub(crate) target: Option<Target>,
}

/// When a figure is good enough. Ratios compare values of the same round, because the speed of a machine varies.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    RatioAtLeast(f64),
    RatioAtMost(f64),
    AtMost(f64),
}

/// The spread over several rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

/// The form in `--json`.
#[derive(Debug, Serialize, PartialEq)]
struct Row<'a> {
    scenario: &'a str,
    figure: &'a str,
    unit: &'a str,
    ours: f64,
    comparator: Option<f64>,
    ratio: Option<f64>,
    target: Option<String>,
    met: Option<bool>,
}

impl Figure {
    /// An informative figure with one value per round, at least one.
    pub(crate) fn new(name: impl Into<String>, unit: &'static str, ours: Vec<f64>) -> Self {
        Self { scenario: "", name: name.into(), unit, ours, reference: Vec::new(), target: None }
    }

    /// Adds a reference, one value per round.
    pub(crate) fn with_reference(self, reference: Vec<f64>) -> Self {
        Self { reference, ..self }
    }

    pub(crate) fn with(self, target: Target) -> Self {
        Self { target: Some(target), ..self }
    }

    /// Names the part of the scenario; removes the target unless the part is judged.
    pub(crate) fn in_part(self, part: &str, is_judged: bool) -> Self {
        let target = self.target.filter(|_| is_judged);
        Self { name: format!("{part}: {}", self.name), target, ..self }
    }

    /// Whether the target was met; `None` without one.
    pub(crate) fn met(&self) -> Option<bool> {
        let ratio = spread(&self.ratios()).map(|ratio| ratio.median);
        let ours = spread(&self.ours).map(|ours| ours.median);
        Some(match self.target? {
            Target::RatioAtLeast(least) => ratio.is_some_and(|ratio| ratio >= least),
            Target::RatioAtMost(most) => ratio.is_some_and(|ratio| ratio <= most),
            Target::AtMost(most) => ours.is_some_and(|ours| ours <= most),
        })
    }

    fn ratios(&self) -> Vec<f64> {
        self.ours.iter().zip(&self.reference).map(|(ours, reference)| ours / reference).collect()
    }

    fn row(&self) -> Row<'_> {
        let median = |values: &[f64]| spread(values).map(|spread| spread.median);
        Row {
            scenario: self.scenario,
            figure: &self.name,
            unit: self.unit,
            ours: median(&self.ours).unwrap_or(f64::NAN),
            comparator: median(&self.reference),
            ratio: median(&self.ratios()),
            target: self.target.map(Target::text),
            met: self.met(),
        }
    }
}

impl Target {
    fn text(self) -> String {
        match self {
            Self::RatioAtLeast(least) => format!("≥ {least} ×"),
            Self::RatioAtMost(most) => format!("≤ {most} ×"),
            Self::AtMost(most) => format!("≤ {most}"),
        }
    }
}

/// `None` without values. The median of an even number of values is the mean of the middle two.
fn spread(values: &[f64]) -> Option<Spread> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = [sorted.get((sorted.len().checked_sub(1)?) / 2)?, sorted.get(sorted.len() / 2)?];
    Some(Spread { min: *sorted.first()?, median: (middle[0] + middle[1]) / 2.0, max: *sorted.last()? })
}

pub(crate) const TABLE_HEAD: &str = "\
| Scenario | Figure | Ours: median (spread) | Reference: median (spread) | Ratio: median (spread) | Target | Met |
|---|---|---|---|---|---|---|
";

/// One line per figure.
pub(crate) fn table_rows(figures: &[Figure]) -> String {
    let mut text = String::new();
    for figure in figures {
        let met = figure.met().map_or("", |met| if met { "yes" } else { "**no**" });
        // Writing to a string cannot fail.
        let _ok = writeln!(
            text,
            "| {} | {}, {} | {} | {} | {} | {} | {met} |",
            figure.scenario,
            figure.name,
            figure.unit,
            cell(&figure.ours),
            cell(&figure.reference),
            cell(&figure.ratios()),
            figure.target.map(Target::text).unwrap_or_default(),
        );
    }
    text
}

fn cell(values: &[f64]) -> String {
    match spread(values) {
        None => String::new(),
        Some(Spread { median, .. }) if values.len() == 1 => number(median),
        Some(Spread { min, median, max }) => {
            format!("{} ({}–{})", number(median), number(min), number(max))
        }
    }
}

/// With three significant digits.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The figures as JSON: a list with one object per figure.
pub(crate) fn json(figures: &[Figure]) -> serde_json::Result<String> {
    serde_json::to_string_pretty(&figures.iter().map(Figure::row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(ours: &[f64], reference: &[f64], target: Target) -> Figure {
        let figure = Figure::new("64 connections", "orders/s", ours.to_vec());
        Figure { scenario: "write", ..figure.with_reference(reference.to_vec()).with(target) }
    }

    #[test]
    fn the_ratio_is_the_median_of_the_ratios_per_round() {
        // The machine is twice as fast in the last round.
        let figure = figure(&[20.0, 21.0, 44.0], &[10.0, 10.0, 20.0], Target::RatioAtLeast(2.1));
        assert_eq!(figure.ratios(), [2.0, 2.1, 2.2]);
        assert_eq!(figure.met(), Some(true));
        assert_eq!(
            table_rows(&[figure]),
            "| write | 64 connections, orders/s | 21.0 (20.0–44.0) | 10.0 (10.0–20.0) \
             | 2.10 (2.00–2.20) | ≥ 2.1 × | yes |\n"
        );
    }

    #[test]
    fn each_kind_of_target_can_be_missed() {
        assert_eq!(figure(&[19.0], &[10.0], Target::RatioAtLeast(2.0)).met(), Some(false));
        assert_eq!(figure(&[14.0], &[10.0], Target::RatioAtMost(1.3)).met(), Some(false));
        assert_eq!(figure(&[14.0], &[], Target::AtMost(13.0)).met(), Some(false));
        assert_eq!(
            figure(&[14.0], &[], Target::RatioAtMost(1.3)).met(),
            Some(false),
            "nothing to compare with"
        );
    }

    #[test]
    fn json_has_the_same_figures() {
        let json = json(&[figure(&[30.0], &[10.0], Target::RatioAtLeast(2.0))]).unwrap();
        let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            rows,
            serde_json::json!([{"scenario": "write", "figure": "64 connections", "unit": "orders/s", "ours": 30.0,
                "comparator": 10.0, "ratio": 3.0, "target": "≥ 2 ×", "met": true}])
        );
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), Some(Spread { min: 1.0, median: 2.5, max: 4.0 }));
        assert_eq!(spread(&[]), None);
    }
}
