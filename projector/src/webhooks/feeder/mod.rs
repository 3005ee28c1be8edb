//! Feeding: copies events of the log into `deliveries`, for all endpoints of a process in one task.
//!
//! | File | Holds |
//! |---|---|
//! | `fed` | an endpoint that is fed, and how it is fed alone |
//! | `event` | what a delivery needs of an event |
//! | `tail` | the endpoints near the tail of the log, which are fed together |
//! | `batch` | one transaction that feeds them |
//! | `allot` | who gets which events of a batch |
//! | `alone` | all other endpoints: one at a time |
//!
//! Each endpoint has a subscription. Most of them stand at the tail of the log: these share one read of each event, and
//! a transaction takes care only of those that want it. The checkpoints of the others are moved every second or
//! two; they pass over nothing that their endpoints want.
//!
//! An endpoint is fed alone, in transactions of its own, while anything is special about it: it has just been added, it
//! is far behind, full, paused, lost, locked by another process, or it fails. So it delays no other. When it has
//! reached the tail, it joins the others there. If a batch of the others fails, each of them is fed alone once.

mod allot;
mod alone;
mod batch;
mod event;
mod fed;
mod tail;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use service_kit::database::Database;
use tokio::sync::watch;

use self::alone::Alone;
pub(crate) use self::fed::Fed;
pub use self::fed::rooms;
use self::tail::Tail;
use super::delivery::Backlogs;
use crate::subscription::{Pace, Wait};

/// The endpoints that are fed, by id.
pub(crate) type AllFed = Arc<BTreeMap<i64, Fed>>;

fn has(all: &AllFed, fed: &Fed) -> bool {
    all.get(&fed.id()).is_some_and(|current| current.is_same(fed))
}

/// How long batches in flight may take after the stop signal. Then they are rolled back, which loses nothing.
const STOP_LIMIT: Duration = Duration::from_secs(4);

/// Feeds all endpoints.
pub(crate) struct Feeder {
    all: watch::Receiver<AllFed>,
    tail: Tail,
    alone: Alone,
    pace: Pace,
}

impl Feeder {
    pub(crate) fn new(
        database: &Database,
        backlogs: Backlogs,
        all: watch::Receiver<AllFed>,
        pace: Pace,
    ) -> Self {
        let tail = Tail::new(database.clone(), backlogs, &pace);
        Self { all, tail, alone: Alone::new(database.clone(), pace.clone()), pace }
    }

    /// Runs until the stop signal. Then it finishes its batches.
    ///
    /// # Panics
    ///
    /// When feeding panicked.
    pub(crate) async fn run(mut self) {
        let stop = self.pace.stop.clone();
        let stop_limit = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP_LIMIT).await;
        };
        tokio::select! {
            () = self.work() => {}
            () = stop_limit => tracing::warn!("stopped while webhooks were fed; this is rolled back"),
        }
    }

    async fn work(&mut self) {
        while !self.pace.stop.is_cancelled() {
            self.follow_endpoints();
            let wait = self.tail.step().await;
            for fed in self.tail.left() {
                self.alone.add(fed);
            }
            self.wait(wait).await;
        }
        self.alone.finish().await;
    }

    /// Endpoints that were added are fed from now on, and those that were removed no more.
    fn follow_endpoints(&mut self) {
        let all = Arc::clone(&self.all.borrow_and_update());
        self.tail.retain(&all);
        self.alone.retain(&all);
        for (id, fed) in all.iter() {
            if !self.tail.has(*id) && !self.alone.has(*id) {
                self.alone.add(fed.clone());
            }
        }
    }

    /// Waits until the endpoints at the tail have something to do, and feeds the others meanwhile.
    async fn wait(&mut self, wait: Wait) {
        let until_due = wait.pass(&self.pace.event_log);
        tokio::pin!(until_due);
        loop {
            self.alone.start_next();
            tokio::select! {
                () = &mut until_due => return,
                Ok(()) = self.all.changed() => return,
                caught_up = self.alone.next() => {
                    if let Some((fed, checkpoint)) = caught_up {
                        self.tail.join(fed, checkpoint);
                        return;
                    }
                }
                () = self.pace.stop.cancelled() => return,
            }
        }
    }
}
