//! What is known of ids, and what each answer of the database adds. No input or output: the model checks this very code.

use std::ops::Range;

use super::RANGE;
use crate::adapter::postgres::frontier::{Drawn, Look, ServerRun};

/// Where claims begin, and the mark that may move that place on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Known {
    start: i64,
    /// The run of the server that all of this is about; none before the first answer.
    run: Option<ServerRun>,
    pending: Option<Mark>,
}

/// Once all transactions before `transaction` have ended, ids up to `newest` are settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Mark {
    newest: i64,
    transaction: i64,
}

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
        let mark = self.pending?;
        let end = (mark.newest + 1).min(self.start.saturating_add(RANGE));
        Some((self.start..end, mark.transaction))
    }

    /// What the look at `range` saw. Returns whether there is more to see up to the pending mark.
    pub(super) fn looked(&mut self, range: &Range<i64>, seen: Look) -> bool {
        let Some(mark) = self.pending.filter(|_| !self.is_another_run(seen.run) && seen.settled) else {
            return false;
        };
        self.start = seen.first.unwrap_or(range.end);
        let is_done = seen.first.is_some() || range.end > mark.newest;
        if is_done {
            self.pending = None;
        }
        !is_done
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
        self.pending = drawn.mark.map(|transaction| Mark { newest: drawn.newest, transaction });
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
