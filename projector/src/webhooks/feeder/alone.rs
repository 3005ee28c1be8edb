//! The endpoints that are fed alone: one at a time, so that they leave the other connection to those at the tail.

use std::collections::BTreeMap;
use std::time::Instant;

use service_kit::database::Database;
use tokio::task::JoinSet;

use super::{AllFed, Fed, has};
use crate::subscription::{Pace, Single, Stepped};

/// The endpoints that are fed alone.
pub(super) struct Alone {
    database: Database,
    pace: Pace,
    waiting: BTreeMap<i64, Waiting>,
    /// At most one batch.
    running: JoinSet<(Waiting, Stepped)>,
    running_fed: Option<Fed>,
}

struct Waiting {
    fed: Fed,
    single: Single,
    due: Instant,
}

impl Alone {
    pub(super) fn new(database: Database, pace: Pace) -> Self {
        Self { database, pace, waiting: BTreeMap::new(), running: JoinSet::new(), running_fed: None }
    }

    /// Feeds this endpoint from now on, as soon as it is its turn.
    pub(super) fn add(&mut self, fed: Fed) {
        let single = Single::listener(self.database.clone(), Box::new(fed.clone()), self.pace.clone());
        self.waiting.insert(fed.id(), Waiting { fed, single, due: Instant::now() });
    }

    pub(super) fn has(&self, id: i64) -> bool {
        self.running_fed.as_ref().is_some_and(|fed| fed.id() == id) || self.waiting.contains_key(&id)
    }

    /// Forgets the endpoints that have been removed, also if they have been added again.
    pub(super) fn retain(&mut self, all: &AllFed) {
        self.waiting.retain(|_, waiting| has(all, &waiting.fed));
        self.running_fed.take_if(|fed| !has(all, fed));
    }

    /// Starts the batch that has been due for longest, unless one is running.
    pub(super) fn start_next(&mut self) {
        if !self.running.is_empty() || self.pace.stop.is_cancelled() {
            return;
        }
        let next = self.waiting.iter().min_by_key(|(_, waiting)| waiting.due);
        let Some(id) = next.filter(|(_, waiting)| waiting.due <= Instant::now()).map(|(id, _)| *id) else {
            return;
        };
        let Some(mut waiting) = self.waiting.remove(&id) else { return };
        self.running_fed = Some(waiting.fed.clone());
        self.running.spawn(async move {
            let stepped = waiting.single.step().await;
            (waiting, stepped)
        });
    }

    /// Waits until a batch has ended or is due. Returns the endpoint if it has reached the tail of the log, and where.
    ///
    /// Nothing is lost if the future is dropped.
    pub(super) async fn next(&mut self) -> Option<(Fed, i64)> {
        if self.running.is_empty() {
            match self.waiting.values().map(|waiting| waiting.due).min() {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
            return None;
        }
        let (mut waiting, stepped) = match self.running.join_next().await? {
            Ok(ended) => ended,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_cancelled) => return None,
            },
        };
        // It may have been removed meanwhile.
        self.running_fed.take()?;
        match stepped {
            Stepped::CaughtUp { checkpoint } => return Some((waiting.fed, checkpoint)),
            Stepped::Again(pause) => waiting.due = Instant::now() + pause,
        }
        self.waiting.insert(waiting.fed.id(), waiting);
        None
    }

    /// Waits for the batch in flight.
    pub(super) async fn finish(&mut self) {
        while !self.running.is_empty() {
            self.next().await;
        }
    }
}
