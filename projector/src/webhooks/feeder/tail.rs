//! The endpoints near the tail of the log, which are fed together.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ConstantBackoff, ConstantBuilder, ExponentialBackoff};
use service_kit::database::Database;
use service_kit::overload::OncePerSecond;
use service_kit::telemetry::chain;

use super::batch::{self, Done, Member, Plan};
use super::{AllFed, Fed, has};
use crate::event_log::{EventLog, ReadLimits};
use crate::outbox::low_water_mark::queries::ServerRun;
use crate::pause;
use crate::subscription::{BatchError, BatchSize, Handled, HolePause, Listener, Pace, Wait, after_batch};
use crate::webhooks::delivery::Backlogs;

/// How often all members are looked at: an operator may have set one back, paused it, or want events to be tried again.
/// Then checkpoints are moved that only passed over events which nobody wants. With up to 100 % jitter: processes that
/// look in the same moment find each other's members locked, and would do so each time.
const REVIEW_EVERY: Duration = Duration::from_secs(1);
/// Without members, there is nothing to do.
const NEVER: Duration = Duration::from_hours(1);

/// The endpoints near the tail.
pub(super) struct Tail {
    database: Database,
    backlogs: Backlogs,
    event_log: EventLog,
    poll_max: Duration,
    batch_max_bytes: i64,
    members: BTreeMap<i64, Member>,
    /// Those that are to be fed alone.
    left: Vec<Fed>,
    size: BatchSize,
    outage: ExponentialBackoff,
    hole_pause: HolePause,
    next_review: Instant,
    review_pauses: ConstantBackoff,
    run: Option<ServerRun>,
}

impl Tail {
    pub(super) fn new(database: Database, backlogs: Backlogs, pace: &Pace) -> Self {
        Self {
            database,
            backlogs,
            event_log: pace.event_log.clone(),
            poll_max: pace.poll_max,
            batch_max_bytes: pace.batch_max_bytes,
            members: BTreeMap::new(),
            left: Vec::new(),
            size: BatchSize::new(pace.batch_max),
            outage: pause::outage(),
            hole_pause: HolePause::default(),
            next_review: Instant::now(),
            review_pauses: review_pauses(),
            run: None,
        }
    }

    /// An endpoint has reached the tail, with this checkpoint.
    pub(super) fn join(&mut self, fed: Fed, checkpoint: i64) {
        self.members.insert(fed.id(), Member { fed, checkpoint, read: checkpoint });
    }

    pub(super) fn has(&self, id: i64) -> bool {
        self.members.contains_key(&id)
    }

    /// Forgets the endpoints that have been removed, also if they have been added again.
    pub(super) fn retain(&mut self, all: &AllFed) {
        self.members.retain(|_, member| has(all, &member.fed));
    }

    /// The endpoints that have left since the last call. They are to be fed alone.
    pub(super) fn left(&mut self) -> Vec<Fed> {
        std::mem::take(&mut self.left)
    }

    /// Runs one batch. Returns how long to wait before the next one.
    pub(super) async fn step(&mut self) -> Wait {
        if self.members.is_empty() {
            return Wait::For(NEVER);
        }
        let started = Instant::now();
        let limits = ReadLimits { events: self.size.get(), bytes: self.batch_max_bytes };
        let is_review = started >= self.next_review;
        let plan =
            Plan { members: &self.members, backlogs: &self.backlogs, limits, is_review, run: self.run };
        let mut involved = Vec::new();
        match batch::run(&self.database, &plan, &mut involved).await {
            Ok(done) if self.is_another_run(&done) => Wait::For(Duration::ZERO),
            Ok(done) => {
                if is_review {
                    self.next_review = started + self.review_pauses.next().unwrap_or(REVIEW_EVERY);
                }
                self.done(&done, started.elapsed())
            }
            Err(error) => self.failed(&error, &involved),
        }
    }

    /// A server that has taken over, or recovered, may lack events that were read, and use their positions again: what
    /// was read beyond the checkpoints is read again.
    fn is_another_run(&mut self, done: &Done) -> bool {
        let Some(run) = done.run else { return false };
        let is_another = self.run.replace(run).is_some_and(|known| known != run);
        if is_another {
            self.read_again();
        }
        is_another
    }

    fn read_again(&mut self) {
        for member in self.members.values_mut() {
            member.read = member.checkpoint;
        }
    }

    fn done(&mut self, done: &Done, took: Duration) -> Wait {
        let head = self.members.values().map(|member| member.read).max().unwrap_or_default();
        for member in self.members.values_mut() {
            member.read = member.read.max(done.up_to);
        }
        for stand in &done.stands {
            let Some(member) = self.members.get_mut(&stand.id) else { continue };
            (member.checkpoint, member.read) = (stand.checkpoint, stand.read);
            if stand.is_fed {
                member.fed.committed();
            }
        }
        self.leave(&done.alone);
        if done.up_to < head {
            // They are farther behind than one batch reaches. Those in front do not wait for them.
            self.leave_behind(head);
        }
        self.outage = pause::outage();
        let is_full = self.size.committed(done.events, 0, took);
        if let Some(hole) = done.hole {
            self.event_log.report_hole(hole);
        }
        let checkpoint = self.members.values().map(|member| member.read).max().unwrap_or_default();
        let &Done { events, hole, is_more, .. } = done;
        let handled = Handled { events, parked: 0, checkpoint, hole, is_more };
        after_batch(handled, is_full, took, self.poll_max, &mut self.hole_pause)
    }

    fn leave_behind(&mut self, head: i64) {
        let behind = self.members.iter().filter(|(_, member)| member.read < head);
        let behind: Vec<_> = behind.map(|(id, _)| *id).collect();
        self.leave(&behind);
    }

    fn leave(&mut self, ids: &[i64]) {
        let left = ids.iter().filter_map(|id| self.members.remove(id));
        self.left.extend(left.map(|member| member.fed));
    }

    /// Nobody knows which of the members is at fault: each is fed alone. So its failure is its own.
    fn failed(&mut self, error: &BatchError, involved: &[i64]) -> Wait {
        static FAILED: OncePerSecond = OncePerSecond::new();
        if let Some(times) = FAILED.count() {
            let error = chain(error);
            tracing::warn!(times, endpoints = involved.len(), error, "webhooks cannot be fed together");
        }
        self.size.failed();
        self.read_again();
        if involved.is_empty() || matches!(error, BatchError::Connect(_)) {
            return Wait::For(self.outage.next().unwrap_or_default());
        }
        self.leave(involved);
        Wait::For(Duration::ZERO)
    }
}

fn review_pauses() -> ConstantBackoff {
    ConstantBuilder::new().with_delay(REVIEW_EVERY).with_jitter().without_max_times().build()
}
