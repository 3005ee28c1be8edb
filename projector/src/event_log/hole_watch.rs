//! How long readers have waited at a hole.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::timeout;

/// A reader that waits reports the hole again and again. One that has not been reported for this long is passed.
const PASSED_AFTER: Duration = Duration::from_secs(1);
/// How old a hole is when it is logged, and how often again.
const LOGGED_EVERY: Duration = Duration::from_secs(10);

/// The hole at which readers of this process wait. If there are several, the one that was reported last.
#[derive(Default)]
pub(super) struct Hole {
    waited_at: Mutex<Option<Wait>>,
    reported: Notify,
}

#[derive(Clone, Copy)]
struct Wait {
    position: i64,
    since: Instant,
    last_report: Instant,
    next_log: Instant,
}

impl Hole {
    /// A reader waits in front of `position`.
    pub(super) fn report(&self, position: i64) {
        let now = Instant::now();
        self.with(|wait| match wait {
            Some(wait) if wait.position == position => wait.last_report = now,
            _ => {
                let next_log = now + LOGGED_EVERY;
                *wait = Some(Wait { position, since: now, last_report: now, next_log });
            }
        });
        self.reported.notify_one();
    }

    /// Waits for the next report, at most this long. Returns whether there was one.
    pub(super) async fn was_reported_within(&self, at_most: Duration) -> bool {
        timeout(at_most, self.reported.notified()).await.is_ok()
    }

    /// For how long readers have waited at the present hole; zero if they do not wait.
    pub(super) fn age(&self) -> Duration {
        self.with(|wait| {
            wait.filter(|wait| wait.last_report.elapsed() < PASSED_AFTER)
                .map_or(Duration::ZERO, |wait| wait.since.elapsed())
        })
    }

    /// Logs an old hole from time to time.
    pub(super) fn log_if_old(&self) {
        let now = Instant::now();
        let old = self.with(|wait| {
            let wait = wait.as_mut().filter(|wait| wait.last_report.elapsed() < PASSED_AFTER)?;
            (now >= wait.next_log).then(|| {
                wait.next_log = now + LOGGED_EVERY;
                *wait
            })
        });
        if let Some(wait) = old {
            tracing::warn!(
                position = wait.position,
                waited_s = wait.since.elapsed().as_secs(),
                "subscriptions wait at a hole in the event log: a transaction that writes to the outbox has not ended"
            );
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Option<Wait>) -> T) -> T {
        act(&mut self.waited_at.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
