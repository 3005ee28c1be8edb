//! What a process knows of the deliveries that wait for each endpoint. It makes statements cheaper: they do not read
//! what is done. [`settled`](super::settled) says why they miss nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::settled::{Settled, Writers};
use crate::outbox::low_water_mark::queries::ServerRun;

/// From this many waiting deliveries on, an endpoint is crowded: it gets no further ones, and a refused event is given
/// up sooner.
pub const CROWDED: i64 = 10_000;

/// The backlogs of all endpoints. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Backlogs(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// Changes when floors are forgotten.
    generation: u64,
    settled: Settled,
    endpoints: HashMap<i64, Backlog>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Backlog {
    /// The endpoint's, as it was polled last.
    revision: Option<i64>,
    floor: DateTime<Utc>,
    waiting: i64,
}

/// What is known when a poll begins.
#[derive(Debug)]
pub struct Asked {
    generation: u64,
    settled_before: Option<DateTime<Utc>>,
}

impl Backlogs {
    /// No delivery of `endpoint` is due before this time.
    #[must_use]
    pub fn floor(&self, endpoint: i64) -> DateTime<Utc> {
        self.of(endpoint).floor
    }

    /// Whether more deliveries wait than there is room for.
    #[must_use]
    pub fn is_crowded(&self, endpoint: i64) -> bool {
        self.of(endpoint).waiting >= CROWDED
    }

    /// The endpoints with known floors, and these.
    pub(crate) fn floors(&self) -> (Vec<i64>, Vec<DateTime<Utc>>) {
        self.lock().floors()
    }

    /// What a poll that begins now needs: its floors, and what to pass with what it finds.
    #[must_use]
    pub fn ask(&self) -> (Asked, (Vec<i64>, Vec<DateTime<Utc>>)) {
        let known = self.lock();
        let asked = Asked { generation: known.generation, settled_before: known.settled.before() };
        (asked, known.floors())
    }

    /// A poll saw this revision of `endpoint` and, if it searched, since when something is due there.
    ///
    /// If floors were forgotten while it ran, it may not have seen what is below them, and raises none.
    pub fn polled(
        &self,
        asked: &Asked,
        endpoint: i64,
        revision: i64,
        is_searched: bool,
        due_since: Option<DateTime<Utc>>,
    ) {
        let mut known = self.lock();
        if known.generation != asked.generation {
            return;
        }
        let backlog = known.endpoints.entry(endpoint).or_default();
        if backlog.revision.replace(revision).is_some_and(|known| known != revision) {
            // An operator may have made everything due.
            backlog.floor = DateTime::default();
            known.generation += 1;
        } else if is_searched && let Some(settled) = asked.settled_before {
            backlog.floor = due_since.map_or(settled, |due| due.min(settled));
        }
    }

    /// These transactions may have changed deliveries and have not ended. Forgets all floors if they no longer hold.
    pub fn settle(&self, writers: Writers) {
        let mut known = self.lock();
        if !known.settled.record(writers) {
            known.generation += 1;
            for backlog in known.endpoints.values_mut() {
                backlog.floor = DateTime::default();
            }
        }
    }

    /// Whether what is settled holds in this run of the server.
    pub(crate) fn is_settled_in(&self, run: ServerRun) -> bool {
        self.lock().settled.is_in(run)
    }

    /// Only these endpoints are left.
    pub(crate) fn keep(&self, is_left: impl Fn(i64) -> bool) {
        self.lock().endpoints.retain(|endpoint, _| is_left(*endpoint));
    }

    /// This many deliveries of `endpoint` wait.
    pub fn observed(&self, endpoint: i64, waiting: i64) {
        self.lock().endpoints.entry(endpoint).or_default().waiting = waiting;
    }

    fn of(&self, endpoint: i64) -> Backlog {
        self.lock().endpoints.get(&endpoint).copied().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn floors(&self) -> (Vec<i64>, Vec<DateTime<Utc>>) {
        self.endpoints.iter().map(|(endpoint, backlog)| (*endpoint, backlog.floor)).unzip()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use chrono::TimeDelta;

    use super::*;

    const NEVER: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn writers(now: DateTime<Utc>, started: i64) -> Writers {
        let (run, answered) = (ServerRun { started, stats_reset: 1 }, Instant::now());
        Writers { transactions: Vec::new(), now, run, asked: answered, answered }
    }

    #[test]
    fn the_floor_is_what_is_due_or_else_what_is_settled() {
        let (backlogs, now) = (Backlogs::default(), Utc::now());
        let ago = |seconds| now - TimeDelta::seconds(seconds);
        backlogs.polled(&backlogs.ask().0, 1, 1, true, None);
        assert_eq!(backlogs.floor(1), NEVER, "nothing is settled");
        backlogs.settle(writers(now, 1));
        for (due_since, floor) in [(None, 10), (Some(ago(1)), 10), (Some(ago(60)), 60)] {
            backlogs.polled(&backlogs.ask().0, 1, 1, true, due_since);
            assert_eq!(backlogs.floor(1), ago(floor), "{due_since:?}");
        }
        backlogs.polled(&backlogs.ask().0, 1, 1, false, None);
        assert_eq!(backlogs.floor(1), ago(60), "it did not look");
    }

    #[test]
    fn nothing_is_kept_of_an_endpoint_that_was_removed() {
        let backlogs = Backlogs::default();
        for endpoint in [1, 2] {
            backlogs.observed(endpoint, 5);
        }
        backlogs.keep(|endpoint| endpoint == 2);
        assert_eq!(backlogs.floors().0, [2]);
    }

    #[test]
    fn a_poll_that_began_before_floors_were_forgotten_raises_none() {
        let (backlogs, now) = (Backlogs::default(), Utc::now());
        backlogs.settle(writers(now, 1));
        for endpoint in [1, 2] {
            backlogs.polled(&backlogs.ask().0, endpoint, 1, true, None);
        }
        let (in_flight, _) = backlogs.ask();
        backlogs.polled(&backlogs.ask().0, 1, 2, true, None);
        backlogs.polled(&in_flight, 1, 2, true, None);
        assert_eq!(backlogs.floor(1), NEVER, "the endpoint was changed");
        assert!(backlogs.floor(2) > NEVER);

        let (in_flight, _) = backlogs.ask();
        backlogs.settle(writers(now, 2));
        for endpoint in [1, 2] {
            backlogs.polled(&in_flight, endpoint, 1, true, None);
            assert_eq!(backlogs.floor(endpoint), NEVER, "another run of the server");
        }
    }
}
