//! Before which time no delivery can become due any more that cannot be seen yet.
//!
//! A statement that adds deliveries, or changes when they are due, gives them its own start or a later time. Before it
//! writes, it locks the table, and its transaction keeps that lock until what it wrote can be seen: also while its
//! commit waits for a standby. So what begins before a time can be seen once all transactions have ended that had the
//! table locked, or waited to lock it, a moment after that time.
//!
//! That holds within one run of the server. One that has taken over, or was restored, may have deliveries that were due
//! long ago and are gone from the other.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use crate::outbox::low_water_mark::queries::ServerRun;

/// A statement asks for its lock within microseconds of its start. This is for a process that does not get to run.
const UNTIL_LOCKED: TimeDelta = TimeDelta::seconds(10);
/// The server's clock may lag this much behind this process's one: it may be slowed down, or round.
const DRIFT: Duration = Duration::from_secs(1);

/// The transactions that may have changed deliveries and have not ended.
#[derive(Debug, Clone)]
pub struct Writers {
    /// Their virtual ids.
    pub transactions: Vec<String>,
    /// The server's time.
    pub now: DateTime<Utc>,
    /// The run of the server.
    pub run: ServerRun,
    /// When this process asked for them, by a clock that no one sets,
    pub asked: Instant,
    /// and when it had them.
    pub answered: Instant,
}

/// The last time that the server told.
#[derive(Debug, Clone, Copy)]
struct Last {
    run: ServerRun,
    now: DateTime<Utc>,
    answered: Instant,
}

impl Last {
    /// The server is in the same run, and its clock has not gone back: neither before that time, nor within the time
    /// that has passed here.
    fn holds(&self, writers: &Writers) -> bool {
        let passed = writers.asked.saturating_duration_since(self.answered).saturating_sub(DRIFT);
        self.run == writers.run && self.now + passed <= writers.now
    }
}

/// What follows from the writers.
#[derive(Debug, Default)]
pub(super) struct Settled {
    last: Option<Last>,
    /// Those whose ends are waited for.
    pending: Option<Writers>,
    before: Option<DateTime<Utc>>,
}

impl Settled {
    /// A query that begins now sees all deliveries that will ever be due before this time.
    pub(super) fn before(&self) -> Option<DateTime<Utc>> {
        self.before
    }

    /// Whether this holds in this run of the server.
    pub(super) fn is_in(&self, run: ServerRun) -> bool {
        self.last.is_some_and(|last| last.run == run)
    }

    /// Returns whether what was known still holds: the server is in the same run, and its clock has not gone back.
    pub(super) fn record(&mut self, writers: Writers) -> bool {
        let holds = self.last.is_none_or(|last| last.holds(&writers));
        if !holds {
            *self = Self::default();
        }
        self.last = Some(Last { run: writers.run, now: writers.now, answered: writers.answered });
        if let Some(pending) = &self.pending {
            if pending.transactions.iter().any(|pending| writers.transactions.contains(pending)) {
                return holds;
            }
            self.before = Some(pending.now - UNTIL_LOCKED);
        }
        if writers.transactions.is_empty() {
            self.before = Some(writers.now - UNTIL_LOCKED);
        }
        self.pending = Some(writers);
        holds
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);

    const RUN: ServerRun = ServerRun { started: 1, stats_reset: 1 };

    fn writers(transactions: &[&str], second: i64, run: ServerRun) -> Writers {
        let transactions = transactions.iter().map(|&id| id.to_owned()).collect();
        let answered = *START + Duration::from_secs(second.unsigned_abs());
        Writers { transactions, now: at(second), run, asked: answered, answered }
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
    }

    #[test]
    fn a_time_is_settled_once_all_writers_of_then_have_ended() {
        let mut settled = Settled::default();
        let steps: [(&[&str], i64, Option<i64>); 6] = [
            (&["1/1", "2/1"], 100, None),
            (&["2/1", "3/1"], 101, None),
            (&["3/1", "1/2"], 102, Some(90)),
            (&["3/1"], 103, Some(90)),
            (&["4/1"], 104, Some(92)),
            (&[], 105, Some(95)),
        ];
        for (transactions, second, expected) in steps {
            assert!(settled.record(writers(transactions, second, RUN)));
            assert_eq!(settled.before(), expected.map(at), "second {second}");
        }
    }

    #[test]
    fn another_run_or_an_earlier_time_settles_nothing() {
        let another = ServerRun { stats_reset: 2, ..RUN };
        // Set back by 29 seconds, half a minute after the last time.
        let set_back = Writers { now: at(101), ..writers(&["2/1"], 130, RUN) };
        for next in [writers(&["2/1"], 101, another), writers(&["2/1"], 99, RUN), set_back] {
            let mut settled = Settled::default();
            assert!(settled.record(writers(&[], 100, RUN)));
            assert!(!settled.record(next));
            assert_eq!(settled.before(), None);
        }
    }

    #[test]
    fn a_slow_answer_is_no_earlier_time() {
        let mut settled = Settled::default();
        let slow = |second, answered| Writers { answered, ..writers(&[], second, RUN) };
        assert!(settled.record(slow(100, *START + Duration::from_mins(2))));
        assert!(settled.record(slow(121, *START + Duration::from_secs(160))));
        assert!(settled.record(writers(&[], 160, RUN)));
        assert_eq!(settled.before(), Some(at(150)));
    }
}
