//! The position up to which a process has read.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::Range;

use super::{History, ResumePoint};

/// Limit on the ranges of open transactions, so that a position has a bounded size.
const MAX_RANGES: usize = 128;

/// The transactions that a read has seen: all below `next`, except those that were open. It is more exact than a
/// [`ResumePoint`], which the oldest open transaction holds back: with a resume point alone, each poll would read all
/// changes since that transaction again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadPosition {
    /// The history of the rows that were read.
    pub history: History,
    next: i64,
    open: Vec<Range<i64>>,
}

impl ReadPosition {
    /// Every transaction below `next` has been seen, except the `open` ones. If these form more than 128 ranges, some
    /// transactions between them count as open as well.
    #[must_use]
    pub fn new(history: History, next: i64, open: Vec<Range<i64>>) -> Self {
        let open = open.into_iter().map(|range| range.start..range.end.min(next));
        Self { history, next, open: merged(open.collect()) }
    }

    /// The resume point of a client that has been sent every change of this read.
    #[must_use]
    pub fn resume_point(&self) -> ResumePoint {
        let first_unseen = self.open.first().map_or(self.next, |first| first.start);
        ResumePoint { history: self.history, first_unseen }
    }

    /// Whether the read may have missed writes of this transaction.
    #[must_use]
    pub fn is_unseen(&self, transaction: i64) -> bool {
        transaction >= self.next || self.open.iter().any(|range| range.contains(&transaction))
    }

    /// The transactions whose writes the read may have missed.
    pub fn unseen(&self) -> impl Iterator<Item = Range<i64>> {
        self.open.iter().cloned().chain(std::iter::once(self.next..i64::MAX))
    }

    /// Whether `self` is the earlier of two reads of the same history, on one server or on two: its newest row has a
    /// lower id, or the same id and more transactions below it open. Over time that id never decreases, and while it
    /// stays the same, transactions below it only end.
    #[must_use]
    pub fn is_behind(&self, other: &Self) -> bool {
        (self.next, Reverse(width(&self.open))) < (other.next, Reverse(width(&other.open)))
    }
}

/// The same transactions as sorted ranges with gaps between them. If there are more than 128, the smallest gaps are
/// filled.
#[must_use]
pub fn merged(mut ranges: Vec<Range<i64>>) -> Vec<Range<i64>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_unstable_by_key(|range| range.start);
    let joined = join(ranges, |end, start| start <= end);
    if joined.len() <= MAX_RANGES {
        return joined;
    }
    let starts = joined.iter().skip(1).map(|range| range.start);
    let mut gaps: Vec<_> = joined.iter().map(|range| range.end).zip(starts).collect();
    gaps.sort_unstable_by_key(|(end, start)| Reverse(start - end));
    let kept: BTreeSet<_> = gaps.into_iter().take(MAX_RANGES - 1).collect();
    join(joined, |end, start| !kept.contains(&(end, start)))
}

/// Joins each range to the previous one if `belong_together(end of previous, start of this)`.
fn join(sorted: Vec<Range<i64>>, belong_together: impl Fn(i64, i64) -> bool) -> Vec<Range<i64>> {
    let mut joined: Vec<Range<i64>> = Vec::with_capacity(sorted.len().min(MAX_RANGES));
    for range in sorted {
        match joined.last_mut() {
            Some(last) if belong_together(last.end, range.start) => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// The number of transactions in these ranges, which must not overlap.
#[must_use]
pub fn width(ranges: &[Range<i64>]) -> i64 {
    ranges.iter().map(|range| range.end - range.start).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HISTORY: History = History { system: 1, timeline: 1 };

    fn position(next: i64, open: &[i64]) -> ReadPosition {
        ReadPosition::new(HISTORY, next, open.iter().map(|xid| *xid..xid + 1).collect())
    }

    #[test]
    fn transactions_that_were_open_or_start_later_are_unseen() {
        let position = position(20, &[12, 10, 11, 15, 25]);
        let unseen: Vec<_> = (0..30).filter(|xid| position.is_unseen(*xid)).collect();
        assert_eq!(unseen, [vec![10, 11, 12, 15], (20..30).collect()].concat());
        assert_eq!(position.unseen().collect::<Vec<_>>(), [10..13, 15..16, 20..i64::MAX]);
        assert_eq!(position.resume_point().first_unseen, 10);
    }

    #[test]
    fn a_position_is_behind_one_with_a_newer_row_or_fewer_open_transactions() {
        assert!(position(20, &[]).is_behind(&position(21, &[3])));
        assert!(position(20, &[3, 4]).is_behind(&position(20, &[3])));
        assert!(!position(20, &[3]).is_behind(&position(20, &[3])));
        assert!(!position(20, &[]).is_behind(&position(20, &[3])));
    }

    #[test]
    fn a_position_stays_small_and_keeps_every_open_transaction() {
        let open: Vec<i64> = (0..1_000).map(|n| 10 * n + n * n).collect();
        let position = position(2_000_000, &open);
        assert_eq!(position.unseen().count(), MAX_RANGES + 1);
        assert!(open.iter().all(|xid| position.is_unseen(*xid)));
        assert!(!position.is_unseen(open[999] - 1), "the widest gaps are kept");
    }
}
