//! The figures of one part.

use testkit::services::ServiceKind;

use super::Part;
use super::watch::Seen;
use crate::report::{Figure, Target};
use crate::wrk::LoadResult;

/// The second of each pair is the comparison: alone, or the sum of both alone.
pub(super) struct Measured {
    /// Lists and orders per second.
    pub(super) asked: [u32; 2],
    pub(super) reads: [LoadResult; 2],
    pub(super) writes: [LoadResult; 2],
    /// Percent of the machine.
    pub(super) busy: [f64; 2],
    pub(super) seen: Seen,
}

impl Measured {
    /// The number of acknowledged orders.
    pub(super) fn placed(&self) -> u64 {
        self.writes.iter().map(LoadResult::requests).sum()
    }

    pub(super) fn figures(&self, part: Part) -> Vec<Figure> {
        let mut figures = self.response_times();
        figures.push(pair("busy cores, beside the sum of both alone", "% of all", self.busy));
        let age = Figure::new("no event was older than", "s", vec![self.seen.backlog_age()]);
        figures.push(age.with(Target::AtMost(1.0)));
        figures.extend(ServiceKind::ALL.into_iter().enumerate().map(|(process, kind)| {
            let name = format!("memory of {} in the last quarter, beside the second", kind.name());
            pair(&name, "MB", [3, 1].map(|quarter| self.seen.mean_mb(process, quarter)))
                .with(Target::RatioAtMost(1.1))
        }));
        figures.into_iter().map(|figure| figure.in_part(part.name, part.is_judged)).collect()
    }

    fn response_times(&self) -> Vec<Figure> {
        let [reads_asked, writes_asked] = self.asked.map(f64::from);
        let [reads, writes] = [&self.reads, &self.writes].map(|[beside, _]| beside.per_second());
        let all_but = Target::RatioAtLeast(0.95);
        vec![
            pair("p99 of reads, beside reads alone", "ms", self.reads.each_ref().map(LoadResult::p99_ms))
                .with(Target::RatioAtMost(1.5)),
            pair("p50 of reads, beside reads alone", "ms", self.reads.each_ref().map(LoadResult::p50_ms)),
            pair("p99 of writes, beside writes alone", "ms", self.writes.each_ref().map(LoadResult::p99_ms)),
            pair("reads, beside what was asked for", "lists/s", [reads, reads_asked]).with(all_but),
            pair("writes, beside what was asked for", "orders/s", [writes, writes_asked]).with(all_but),
        ]
    }
}

fn pair(name: &str, unit: &'static str, [ours, comparator]: [f64; 2]) -> Figure {
    Figure::new(name, unit, vec![ours]).with_reference(vec![comparator])
}
