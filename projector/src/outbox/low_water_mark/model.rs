//! A model: every order in which writers, claims, steps of the survey, flushes of the WAL and crashes can come, up to a number
//! of steps. The survey's part is the code itself.

use std::collections::{BTreeSet, HashSet, VecDeque};

use super::progress::Known;
use super::queries::{Drawn, Look, ServerRun, Writing};

const LONGEST: usize = 11;
const WRITERS: u8 = 3;
/// Transactions that have an id and leave the outbox alone.
const OTHERS: u8 = 1;
const CRASHES: u8 = 2;
/// A sequence logs so many values ahead (32 in PostgreSQL), and goes on behind them after a crash.
const LOGGED_AHEAD: i64 = 1;

/// What recovery finds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Disk {
    sequence: i64,
    next_transaction: i64,
    events: BTreeSet<i64>,
}

/// A record of the WAL, with the transaction that wrote it. A transaction that wrote nothing leaves none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Record {
    Sequence(i64, i64),
    Written(i64, i64),
    Claimed(i64, BTreeSet<i64>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Writer {
    transaction: i64,
    event: Option<i64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct World {
    disk: Disk,
    unflushed: VecDeque<Record>,
    sequence: i64,
    sequence_logged: i64,
    next_transaction: i64,
    /// Committed and not claimed.
    events: BTreeSet<i64>,
    writers: Vec<Writer>,
    /// The transaction of one that leaves the outbox alone.
    other: Option<i64>,
    others_begun: u8,
    known: Known,
    /// The survey's next question is who writes.
    asks_next: bool,
    run: i64,
    /// The run in which the survey took its last step.
    surveyed_in: i64,
    writers_begun: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Begin,
    Draw(usize),
    Commit(usize),
    RollBack(usize),
    BeginOther,
    EndOther,
    Claim,
    Survey,
    Flush,
    Crash,
}

/// Whether the survey can tell one run from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runs {
    Differ,
    LookTheSame,
}

impl World {
    fn actions(&self) -> Vec<Action> {
        let mut actions = vec![Action::Claim, Action::Survey, Action::Flush];
        if self.writers_begun < WRITERS {
            actions.push(Action::Begin);
        }
        if self.others_begun < OTHERS {
            actions.push(Action::BeginOther);
        }
        if self.other.is_some() {
            actions.push(Action::EndOther);
        }
        if self.run < CRASHES.into() {
            actions.push(Action::Crash);
        }
        for (which, writer) in self.writers.iter().enumerate() {
            let next = if writer.event.is_some() { Action::Commit(which) } else { Action::Draw(which) };
            actions.extend([next, Action::RollBack(which)]);
        }
        actions
    }

    /// `None` where nothing changes.
    fn after(&self, action: Action, runs: Runs) -> Option<Self> {
        let mut next = self.clone();
        match action {
            Action::Begin => {
                let transaction = next.assign();
                next.writers_begun += 1;
                next.writers.push(Writer { transaction, event: None });
            }
            Action::Draw(which) => next.draw(which),
            Action::Commit(which) => {
                let Writer { transaction, event } = next.writers.remove(which);
                let event = event?;
                next.unflushed.push_back(Record::Written(transaction, event));
                next.flush();
                next.events.insert(event);
            }
            Action::RollBack(which) => drop(next.writers.remove(which)),
            Action::BeginOther => {
                next.other = Some(next.assign());
                next.others_begun += 1;
            }
            Action::EndOther => next.other = None,
            Action::Claim => next.claim(),
            Action::Survey => next.survey(runs),
            Action::Flush => next.flush(),
            Action::Crash => next.crash(),
        }
        (next != *self).then_some(next)
    }

    fn assign(&mut self) -> i64 {
        self.next_transaction += 1;
        self.next_transaction
    }

    fn draw(&mut self, which: usize) {
        let transaction = self.writers[which].transaction;
        if self.sequence == self.sequence_logged {
            self.sequence_logged += 1 + LOGGED_AHEAD;
            self.unflushed.push_back(Record::Sequence(transaction, self.sequence_logged));
        }
        self.sequence += 1;
        self.writers[which].event = Some(self.sequence);
    }

    fn claim(&mut self) {
        let claimed: BTreeSet<_> = self.events.range(self.known.start()..).copied().collect();
        if !claimed.is_empty() {
            self.events.retain(|event| !claimed.contains(event));
            let transaction = self.assign();
            self.unflushed.push_back(Record::Claimed(transaction, claimed));
            self.flush();
        }
    }

    /// One question to the server, in the order in which the survey asks.
    fn survey(&mut self, runs: Runs) {
        let run = ServerRun { started: 1, counting_since: if runs == Runs::Differ { self.run } else { 0 } };
        self.surveyed_in = self.run;
        if std::mem::take(&mut self.asks_next) {
            let writers = self.writers.iter().filter(|writer| writer.event.is_some());
            let transactions = writers.map(|writer| writer.transaction.to_string()).collect();
            self.known.are_writing(Writing { transactions, run });
            return;
        }
        if let Some((range, mark)) = self.known.next_look() {
            let running = self.writers.iter().map(|writer| writer.transaction).chain(self.other);
            let settled =
                running.min().is_none_or(|oldest| oldest >= mark) && mark <= self.next_transaction + 1;
            let first = self.events.range(range.clone()).next().copied().filter(|_| settled);
            let is_more = self.known.looked(&range, Look { settled, first, run });
            self.asks_next = !is_more && self.known.asks_who_is_writing();
        } else {
            let newest = self.sequence;
            let mark = (newest >= self.known.start()).then(|| self.assign());
            self.known.drew(Drawn { newest, mark, run });
            self.asks_next = self.known.asks_who_is_writing();
        }
    }

    fn flush(&mut self) {
        for record in std::mem::take(&mut self.unflushed) {
            let transaction = match record {
                Record::Sequence(transaction, to) => {
                    self.disk.sequence = to;
                    transaction
                }
                Record::Written(transaction, event) => {
                    self.disk.events.insert(event);
                    transaction
                }
                Record::Claimed(transaction, events) => {
                    self.disk.events.retain(|event| !events.contains(event));
                    transaction
                }
            };
            self.disk.next_transaction = self.disk.next_transaction.max(transaction);
        }
    }

    fn crash(&mut self) {
        let Disk { sequence, next_transaction, events } = self.disk.clone();
        self.unflushed.clear();
        self.writers.clear();
        self.other = None;
        (self.sequence, self.sequence_logged) = (sequence, sequence);
        self.next_transaction = next_transaction;
        self.events = events;
        self.run += 1;
    }

    /// Once the survey has taken a step in this run, no event that is there or may come is before the place where claims begin.
    fn is_good(&self) -> bool {
        let drawn = self.writers.iter().filter_map(|writer| writer.event);
        self.surveyed_in != self.run
            || self.events.iter().copied().chain(drawn).all(|id| id >= self.known.start())
    }
}

/// The first way into a bad state, if there is one, and how many states there are.
fn explore(runs: Runs) -> (Option<Vec<Action>>, usize) {
    let mut seen = HashSet::from([World::default()]);
    let mut layer = vec![(World::default(), Vec::new())];
    for _ in 0..LONGEST {
        let mut following = Vec::new();
        for (world, path) in layer {
            for action in world.actions() {
                let Some(next) = world.after(action, runs).filter(|next| !seen.contains(next)) else {
                    continue;
                };
                let path: Vec<_> = path.iter().copied().chain([action]).collect();
                if !next.is_good() {
                    return (Some(path), seen.len());
                }
                seen.insert(next.clone());
                following.push((next, path));
            }
        }
        layer = following;
    }
    (None, seen.len())
}

#[test]
fn no_order_of_writers_claims_and_crashes_leaves_an_event_before_the_place_where_claims_begin() {
    let (bad, states) = explore(Runs::Differ);
    assert_eq!(bad, None);
    assert!(states > 10_000, "{states} states show nothing");
}

/// So the model is one in which crashes do harm.
#[test]
fn without_telling_a_crash_restart_an_event_is_left_there() {
    let (bad, _) = explore(Runs::LookTheSame);
    let bad = bad.expect("a way into a bad state");
    assert!(bad.contains(&Action::Crash), "{bad:?}");
}
