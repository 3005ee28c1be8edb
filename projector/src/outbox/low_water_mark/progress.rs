//! What is known of ids, and what each answer of the database adds. No input or output: the model checks this very code.

use std::collections::BTreeSet;
use std::ops::Range;

use super::RANGE;
use super::queries::{Drawn, Look, ServerRun, Writing};

/// Where claims begin, and the mark that may move that place on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Known {
    start: i64,
    /// The run of the server that all of this is about; none before the first answer.
    run: Option<ServerRun>,
    pending: Option<Mark>,
    /// A transaction older than the last mark was still running, whether it writes to the outbox or not.
    is_held_up: bool,
}

/// Ids up to `newest` are settled once all transactions before `transaction` have ended, or those of `writing`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Mark {
    newest: i64,
    transaction: i64,
    /// Those that wrote to the outbox after the newest id was read; nothing where they were not asked for.
    writing: Option<BTreeSet<String>>,
}

/// All transactions have ended before this one.
pub(super) const LONG_AGO: i64 = 0;

/// Locks of a transaction that was prepared by a session that has gone are shown under this session number.
const PREPARED: &str = "-1/";

impl Known {
    /// The lowest id at which an event can be.
    pub(super) fn start(&self) -> i64 {
        self.start
    }

    pub(super) fn needs_a_mark(&self) -> bool {
        self.pending.is_none()
    }

    /// The ids to look at next, and the transaction before which all others must have ended.
    pub(super) fn next_look(&self) -> Option<(Range<i64>, i64)> {
        let mark = self.pending.as_ref()?;
        let end = (mark.newest + 1).min(self.start.saturating_add(RANGE));
        Some((self.start..end, mark.transaction))
    }

    /// Whether it helps to ask who writes to the outbox: for the pending mark, or because of an old transaction that may not.
    pub(super) fn asks_who_is_writing(&self) -> bool {
        self.is_held_up && self.pending.is_some()
    }

    /// What the look at `range` saw. Returns whether there is more to see up to the pending mark.
    pub(super) fn looked(&mut self, range: &Range<i64>, seen: Look) -> bool {
        if self.is_another_run(seen.run) {
            return false;
        }
        let Some(mark) = &self.pending else { return false };
        if !seen.settled {
            self.is_held_up = true;
            if mark.writing.is_none() {
                self.pending = None;
            }
            return false;
        }
        if mark.transaction != LONG_AGO {
            self.is_held_up = false;
        }
        self.start = seen.first.unwrap_or(range.end);
        let is_done = seen.first.is_some() || range.end > mark.newest;
        if is_done {
            self.pending = None;
        }
        !is_done
    }

    /// Who writes to the outbox. The pending mark waits for those who did when it was made. Returns whether they have all ended: the
    /// next look will see what they wrote.
    pub(super) fn are_writing(&mut self, writing: Writing) -> bool {
        if self.is_another_run(writing.run) {
            return false;
        }
        let Some(mark) = &mut self.pending else { return false };
        let now: BTreeSet<_> = writing.transactions.into_iter().collect();
        let Some(then) = &mark.writing else {
            mark.writing = Some(now);
            return false;
        };
        let have_ended = then.is_disjoint(&now) && !now.iter().any(|id| id.starts_with(PREPARED));
        if have_ended {
            mark.transaction = LONG_AGO;
        }
        have_ended
    }

    /// How far ids have been drawn, and the next mark.
    pub(super) fn drew(&mut self, drawn: Drawn) {
        if self.is_another_run(drawn.run) {
            return;
        }
        if drawn.newest + 1 < self.start {
            tracing::warn!(
                newest = drawn.newest,
                start = self.start,
                "ids have gone back; claims begin at the lowest id again"
            );
            self.start = 0;
        }
        self.pending =
            drawn.mark.map(|transaction| Mark { newest: drawn.newest, transaction, writing: None });
    }

    /// What a look at ids before the start saw.
    pub(super) fn reviewed(&mut self, seen: Look) {
        if self.is_another_run(seen.run) {
            return;
        }
        if let Some(missed) = seen.first.filter(|missed| *missed < self.start) {
            tracing::warn!(
                event.id = missed,
                start = self.start,
                "an event was found before the place where claims begin"
            );
            self.start = missed;
            self.pending = None;
        }
    }

    /// Forgets everything if `run` is not the one that it is about.
    fn is_another_run(&mut self, run: ServerRun) -> bool {
        let known = self.run.replace(run);
        let is_another = known.is_some_and(|known| known != run);
        if is_another {
            tracing::info!(
                start = self.start,
                "PostgreSQL was restarted, recovered from a crash, or is another server; claims begin at the lowest id again"
            );
            self.start = 0;
            self.pending = None;
        }
        is_another
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: ServerRun = ServerRun { started: 1, counting_since: 1 };

    fn writing(transactions: &[&str]) -> Writing {
        Writing { transactions: transactions.iter().map(ToString::to_string).collect(), run: RUN }
    }

    /// After a mark, while an older transaction runs on.
    fn held_up() -> Known {
        let mut known = Known::default();
        for _ in 0..2 {
            known.drew(Drawn { newest: 9, mark: Some(5), run: RUN });
            if known.asks_who_is_writing() {
                return known;
            }
            known.looked(&(0..10), Look { settled: false, first: None, run: RUN });
        }
        panic!("it does not ask");
    }

    #[test]
    fn a_mark_waits_only_for_those_that_were_writing_when_it_was_made() {
        let mut known = held_up();
        assert!(!known.are_writing(writing(&["3/1", "4/1"])));
        assert!(!known.are_writing(writing(&["4/1", "5/1"])));
        assert!(known.are_writing(writing(&["3/2", "5/1"])));
        assert_eq!(known.next_look(), Some((0..10, LONG_AGO)));
    }

    #[test]
    fn a_prepared_transaction_may_be_one_of_them_under_another_name() {
        let mut known = held_up();
        assert!(!known.are_writing(writing(&["3/1"])));
        assert!(!known.are_writing(writing(&["-1/777"])));
        assert!(known.are_writing(writing(&[])));
    }

    #[test]
    fn who_writes_on_another_server_says_nothing() {
        let mut known = held_up();
        assert!(!known.are_writing(writing(&["3/1"])));
        let other = ServerRun { started: 2, ..RUN };
        assert!(!known.are_writing(Writing { run: other, ..writing(&[]) }));
        assert_eq!((known.start(), known.next_look()), (0, None));
    }
}
