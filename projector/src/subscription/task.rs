//! The task of a subscription: batch after batch, at its own pace. Whatever it does, other subscriptions go on.

use std::time::{Duration, Instant};

use backon::ExponentialBackoff;
use futures_util::FutureExt;
use service_kit::database::{Database, DatabaseError};
use tokio_util::sync::CancellationToken;

use super::due::{self, Due};
use super::failure::{StepError, caught};
use super::listener::{Listener, ListenerSteps};
use super::progress::{Handled, Progress};
use super::read_model::ReadModelSteps;
use super::steps::Steps;
use super::store::{self, Start};
use super::wait::{self, HolePause, LOOK_EVERY, Wait};
use crate::batch::BatchOutcome;
use crate::event_log::EventLog;
use crate::parked::RetryPolicy;
use crate::pause;
use crate::projection::Projection;
use crate::worker::BatchSize;

/// How often parked events that are due are claimed, and the most in one batch.
const PARKED_EVERY: Duration = Duration::from_secs(1);
const PARKED_BATCH_MAX: i64 = 100;

/// How long the batch in flight may take after the stop signal. Then it is rolled back, which loses nothing.
const STOP_LIMIT: Duration = Duration::from_secs(4);

/// Runs the batches of one subscription.
pub struct Task {
    pub(super) steps: Box<dyn Steps>,
    /// Where the subscription starts if it does not exist yet; none if this task does not create it.
    start: Option<Start>,
    pace: Pace,
}

/// What the tasks of a process share.
#[derive(Clone)]
pub struct Pace {
    /// Says when there are newer events.
    pub event_log: EventLog,
    /// Most events of one batch.
    pub batch_max: i64,
    /// Most payload bytes of one batch. A larger event is handled alone.
    pub batch_max_bytes: i64,
    /// The longest pause after a batch while events arrive.
    pub poll_max: Duration,
    /// Ends the tasks.
    pub stop: CancellationToken,
}

/// What the task knows from its earlier batches.
pub(super) struct Known {
    /// It has created or claimed the subscription before. If it is gone now, somebody has removed it.
    exists: bool,
    pub(super) size: BatchSize,
    pub(super) outage: ExponentialBackoff,
    hole_pause: HolePause,
    full_pause: ExponentialBackoff,
    next_parked: Instant,
}

impl Known {
    pub(super) fn new(pace: &Pace) -> Self {
        Self {
            exists: false,
            size: BatchSize::new(pace.batch_max),
            outage: pause::outage(),
            hole_pause: HolePause::default(),
            full_pause: wait::full(),
            next_parked: Instant::now(),
        }
    }
}

impl Task {
    /// Applies the log's events to `projection`, from the oldest one on. Its name is the subscription's. Events that it
    /// refuses are parked, and tried again as `retry_policy` says.
    ///
    /// A `database` of its own, of one connection, keeps it from others' connections while it hangs.
    #[must_use]
    pub fn read_model(
        database: Database,
        projection: Box<dyn Projection>,
        retry_policy: RetryPolicy,
        pace: Pace,
    ) -> Self {
        let steps = ReadModelSteps::new(database, projection, retry_policy, pace.batch_max_bytes);
        Self { steps: Box::new(steps), start: Some(Start::Oldest), pace }
    }

    /// Sends the log's events to `listener`, whose subscription [exists](store::create).
    #[must_use]
    pub fn listener(database: Database, listener: Box<dyn Listener>, pace: Pace) -> Self {
        let steps = ListenerSteps { database, listener, batch_max_bytes: pace.batch_max_bytes };
        Self { steps: Box::new(steps), start: None, pace }
    }

    /// Runs until the stop signal. Then it finishes its batch.
    pub async fn run(self) {
        let stop_limit = async {
            self.pace.stop.cancelled().await;
            tokio::time::sleep(STOP_LIMIT).await;
        };
        tokio::select! {
            () = self.work() => {}
            () = stop_limit => tracing::warn!(
                subscription = self.steps.name(),
                "stopped while a batch was in flight; it is rolled back"
            ),
        }
    }

    async fn work(&self) {
        let mut known = Known::new(&self.pace);
        while !self.pace.stop.is_cancelled() {
            let wait = self.step(&mut known).await;
            self.pace.stop.run_until_cancelled(wait.pass(&self.pace.event_log)).await;
        }
    }

    /// Runs one batch, and parked events if that is due.
    pub(super) async fn step(&self, known: &mut Known) -> Wait {
        if !known.exists
            && let Some(start) = self.start
            && let Err(error) = self.create(start).await
        {
            return self.outage(known, &error);
        }
        let started = Instant::now();
        let limit = known.size.get();
        let progress = match caught(self.steps.run_once(limit)).await {
            Ok(progress) => progress,
            Err(error) => return self.failed(known, &error).await,
        };
        match progress {
            Progress::Handled(handled) => {
                let wait = self.handled(known, handled, limit, started.elapsed());
                match self.retry_parked(known).await {
                    Ok(true) => wait,
                    Ok(false) => Wait::For(Duration::ZERO),
                    Err(error) => self.failed(known, &error).await,
                }
            }
            Progress::NotClaimed => self.not_claimed(known).await,
            Progress::Full => Wait::For(known.full_pause.next().unwrap_or(LOOK_EVERY)),
            Progress::Lost { reason } => {
                known.exists = true;
                tracing::error!(
                    subscription = self.steps.name(),
                    reason,
                    "the subscription is lost: see `projector subscriptions skip`"
                );
                Wait::For(LOOK_EVERY)
            }
        }
    }

    fn handled(&self, known: &mut Known, handled: Handled, limit: i64, took: Duration) -> Wait {
        known.exists = true;
        known.outage = pause::outage();
        known.full_pause = wait::full();
        // The limit may be below the size while many events are refused.
        let is_full = known.size.committed(handled.events, 0, took)
            || i64::try_from(handled.events).is_ok_and(|events| events >= self.steps.batch_limit(limit));
        if let Some(hole) = handled.hole {
            self.pace.event_log.report_hole(hole);
        }
        wait::after_batch(handled, is_full, took, self.pace.poll_max, &mut known.hole_pause)
    }

    /// Tries parked events if that is due. Returns whether none are left that are due.
    async fn retry_parked(&self, known: &mut Known) -> Result<bool, StepError> {
        if Instant::now() < known.next_parked {
            return Ok(true);
        }
        let outcome = caught(self.steps.retry_parked(PARKED_BATCH_MAX)).await?;
        let is_done = outcome == BatchOutcome::Empty;
        if is_done {
            known.next_parked = Instant::now() + PARKED_EVERY;
        }
        Ok(is_done)
    }

    /// The wait until the subscription may be due.
    async fn not_claimed(&self, known: &mut Known) -> Wait {
        let name = self.steps.name().to_owned();
        let due = self.steps.database().read(move |connection| {
            let name = name.clone();
            async move { due::next_attempt(connection, name).await }.boxed()
        });
        match due.await {
            Ok(Due::In(pause)) => {
                known.exists = true;
                Wait::For(if pause.is_zero() { LOOK_EVERY } else { pause.min(LOOK_EVERY) })
            }
            Ok(Due::Never) => {
                known.exists = true;
                Wait::For(LOOK_EVERY)
            }
            Ok(Due::Unknown) => Wait::For(LOOK_EVERY),
            Err(error) => self.outage(known, &error),
        }
    }

    async fn create(&self, start: Start) -> Result<(), DatabaseError> {
        let name = self.steps.name().to_owned();
        let created = self.steps.database().write(move |connection| {
            let name = name.clone();
            async move { store::create(connection, &name, start).await }.boxed()
        });
        created.await.map(drop)
    }
}
