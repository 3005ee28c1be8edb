//! What is known of outbox ids, and what each query result adds. No I/O: the model test runs this code directly.

use std::collections::BTreeSet;
use std::ops::Range;

use super::SCAN_RANGE;
use super::queries::{Allocated, OutboxWriters, Scan, ServerRun};

/// The low-water mark, and the settle point to which it may advance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Progress {
    low_water_mark: i64,
    /// The lowest id that the server allocates.
    lowest: i64,
    /// The server run that all of this belongs to; none before the first result.
    run: Option<ServerRun>,
    pending: Option<SettlePoint>,
    /// A transaction older than the last settle point was still running, whether it writes to the outbox or not.
    is_held_up: bool,
}

/// Ids up to `newest` are settled once all transactions below `xid` have ended, or all of `writers`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct SettlePoint {
    newest: i64,
    xid: i64,
    /// The transactions that had the outbox locked at the first query after `newest` was read; none before that
    /// query.
    writers: Option<BTreeSet<String>>,
}

/// No transaction with a lower xid is ever running.
pub(super) const XID_ZERO: i64 = 0;

/// `pg_locks` shows this session number for a prepared transaction whose session has ended.
const PREPARED: &str = "-1/";

impl Progress {
    /// The lowest id at which an event can be.
    pub(super) fn low_water_mark(&self) -> i64 {
        self.low_water_mark
    }

    /// The same, with the server run in which it holds; none before the first result.
    pub(super) fn settled(&self) -> Option<(i64, ServerRun)> {
        Some((self.low_water_mark, self.run?))
    }

    pub(super) fn needs_settle_point(&self) -> bool {
        self.pending.is_none()
    }

    /// The ids to scan next, and the xid below which all transactions must have ended.
    pub(super) fn next_scan(&self) -> Option<(Range<i64>, i64)> {
        let point = self.pending.as_ref()?;
        Some((self.range_from(self.low_water_mark, point.newest + 1), point.xid))
    }

    /// The ids of one scan. Below the lowest that the server allocates is only what another node of Citus has left
    /// behind, but the gap is too large for many small scans.
    pub(super) fn range_from(&self, start: i64, end: i64) -> Range<i64> {
        start..end.min(start.saturating_add(SCAN_RANGE).max(self.lowest))
    }

    /// Whether to query the outbox writers: an old transaction holds up the pending settle point, and may not be one of
    /// them.
    pub(super) fn needs_writers(&self) -> bool {
        self.is_held_up && self.pending.is_some()
    }

    /// Records a scan of `range`. Returns whether ids up to the pending settle point are left to scan.
    pub(super) fn record_scan(&mut self, range: &Range<i64>, scan: Scan) -> bool {
        if self.is_another_run(scan.run) {
            return false;
        }
        let Some(point) = &self.pending else { return false };
        if !scan.is_settled {
            self.is_held_up = true;
            if point.writers.is_none() {
                self.pending = None;
            }
            return false;
        }
        if point.xid != XID_ZERO {
            self.is_held_up = false;
        }
        self.low_water_mark = scan.first.unwrap_or(range.end);
        let is_done = scan.first.is_some() || range.end > point.newest;
        if is_done {
            self.pending = None;
        }
        !is_done
    }

    /// Records the outbox writers. The pending settle point waits for the first ones that are recorded. Returns whether
    /// they have all ended: the next scan sees what they wrote.
    pub(super) fn record_writers(&mut self, writers: OutboxWriters) -> bool {
        if self.is_another_run(writers.run) {
            return false;
        }
        let Some(point) = &mut self.pending else { return false };
        let now: BTreeSet<_> = writers.transactions.into_iter().collect();
        let Some(then) = &point.writers else {
            point.writers = Some(now);
            return false;
        };
        let have_ended = then.is_disjoint(&now) && !now.iter().any(|id| id.starts_with(PREPARED));
        if have_ended {
            point.xid = XID_ZERO;
        }
        have_ended
    }

    /// Records the newest allocated id, and makes the next settle point from it.
    pub(super) fn record_allocated(&mut self, allocated: Allocated) {
        if self.is_another_run(allocated.run) {
            return;
        }
        self.lowest = allocated.lowest;
        if allocated.newest + 1 < self.low_water_mark {
            tracing::warn!(
                newest = allocated.newest,
                low_water_mark = self.low_water_mark,
                "the outbox sequence went back; claims start at the lowest id again"
            );
            self.low_water_mark = 0;
        }
        self.pending = allocated.xid.map(|xid| SettlePoint { newest: allocated.newest, xid, writers: None });
    }

    /// Records a scan of ids below the low-water mark.
    pub(super) fn record_recheck(&mut self, scan: Scan) {
        if self.is_another_run(scan.run) {
            return;
        }
        if let Some(missed) = scan.first.filter(|missed| *missed < self.low_water_mark) {
            tracing::warn!(
                event.id = missed,
                low_water_mark = self.low_water_mark,
                "an event was found below the low-water mark; claims start at it"
            );
            self.low_water_mark = missed;
            self.pending = None;
        }
    }

    /// Whether `run` differs from the known one. If so, forgets everything else.
    fn is_another_run(&mut self, run: ServerRun) -> bool {
        let known = self.run.replace(run);
        let is_another = known.is_some_and(|known| known != run);
        if is_another {
            tracing::info!(
                low_water_mark = self.low_water_mark,
                "PostgreSQL restarted, recovered from a crash, or is another server; claims start at the lowest id"
            );
            self.low_water_mark = 0;
            self.pending = None;
        }
        is_another
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: ServerRun = ServerRun { started: 1, stats_reset: 1 };

    fn writers(transactions: &[&str]) -> OutboxWriters {
        OutboxWriters { transactions: transactions.iter().map(ToString::to_string).collect(), run: RUN }
    }

    /// After a settle point, while an older transaction is running.
    fn held_up() -> Progress {
        let mut progress = Progress::default();
        for _ in 0..2 {
            progress.record_allocated(Allocated { newest: 9, lowest: 1, xid: Some(5), run: RUN });
            if progress.needs_writers() {
                return progress;
            }
            progress.record_scan(&(0..10), Scan { is_settled: false, first: None, run: RUN });
        }
        panic!("it does not need the writers");
    }

    #[test]
    fn a_settle_point_waits_only_for_the_transactions_that_wrote_when_it_was_made() {
        let mut progress = held_up();
        assert!(!progress.record_writers(writers(&["3/1", "4/1"])));
        assert!(!progress.record_writers(writers(&["4/1", "5/1"])));
        assert!(progress.record_writers(writers(&["3/2", "5/1"])));
        assert_eq!(progress.next_scan(), Some((0..10, XID_ZERO)));
    }

    #[test]
    fn ids_that_the_server_does_not_allocate_are_scanned_at_once() {
        let mut progress = Progress::default();
        let lowest = (1 << 48) + 1;
        progress.record_allocated(Allocated { newest: lowest + 1, lowest, xid: Some(5), run: RUN });
        assert_eq!(progress.next_scan(), Some((0..lowest, 5)));
        assert!(progress.record_scan(&(0..lowest), Scan { is_settled: true, first: None, run: RUN }));
        assert_eq!(progress.next_scan(), Some((lowest..lowest + 2, 5)));
    }

    #[test]
    fn a_prepared_transaction_may_be_one_of_them_under_another_id() {
        let mut progress = held_up();
        assert!(!progress.record_writers(writers(&["3/1"])));
        assert!(!progress.record_writers(writers(&["-1/777"])));
        assert!(progress.record_writers(writers(&[])));
    }

    #[test]
    fn writers_of_another_server_prove_nothing() {
        let mut progress = held_up();
        assert!(!progress.record_writers(writers(&["3/1"])));
        let other = ServerRun { started: 2, ..RUN };
        assert!(!progress.record_writers(OutboxWriters { run: other, ..writers(&[]) }));
        assert_eq!((progress.low_water_mark(), progress.next_scan()), (0, None));
    }
}
