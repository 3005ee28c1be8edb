//! The figures of one part.

use testkit::services::ServiceKind;

use super::Part;
use super::watch::Seen;
use crate::report::{Figure, Target};
use crate::wrk::LoadResult;

/// Each pair has our value and its reference: reads or writes alone, or the sum of both.
pub(super) struct Measured {
    /// Lists and orders per second.
    pub(super) requested: [u32; 2],
    pub(super) reads: [LoadResult; 2],
    pub(super) writes: [LoadResult; 2],
    /// CPU of the machine.
    pub(super) busy_percent: [f64; 2],
    pub(super) seen: Seen,
}

impl Measured {
    /// The number of acknowledged orders.
    pub(super) fn placed(&self) -> u64 {
        self.writes.iter().map(LoadResult::requests).sum()
    }

    pub(super) fn figures(&self, part: Part) -> Vec<Figure> {
        let mut figures = self.response_times();
        figures.push(pair(
            "CPU of the machine (reference: reads alone + writes alone)",
            "%",
            self.busy_percent,
        ));
        let age = Figure::new("age of the oldest event, max", "s", vec![self.seen.backlog_age()]);
        figures.push(age.with(Target::AtMost(1.0)));
        figures.extend(ServiceKind::ALL.into_iter().enumerate().map(|(process, kind)| {
            let name = format!("memory of {} in the last quarter (reference: second quarter)", kind.name());
            pair(&name, "MB", [3, 1].map(|quarter| self.seen.mean_mb(process, quarter)))
                .with(Target::RatioAtMost(1.1))
        }));
        figures.into_iter().map(|figure| figure.in_part(part.name, part.is_judged)).collect()
    }

    fn response_times(&self) -> Vec<Figure> {
        let [reads_requested, writes_requested] = self.requested.map(f64::from);
        let [reads, writes] = [&self.reads, &self.writes].map(|[together, _]| together.per_second());
        let nearly_all = Target::RatioAtLeast(0.95);
        vec![
            pair(
                "p99 of reads (reference: reads alone)",
                "ms",
                self.reads.each_ref().map(LoadResult::p99_ms),
            )
            .with(Target::RatioAtMost(1.5)),
            pair(
                "p50 of reads (reference: reads alone)",
                "ms",
                self.reads.each_ref().map(LoadResult::p50_ms),
            ),
            pair(
                "p99 of writes (reference: writes alone)",
                "ms",
                self.writes.each_ref().map(LoadResult::p99_ms),
            ),
            pair("reads (reference: requested rate)", "lists/s", [reads, reads_requested]).with(nearly_all),
            pair("writes (reference: requested rate)", "orders/s", [writes, writes_requested])
                .with(nearly_all),
        ]
    }
}

fn pair(name: &str, unit: &'static str, [ours, reference]: [f64; 2]) -> Figure {
    Figure::new(name, unit, vec![ours]).with_reference(vec![reference])
}
