//! Wakes a sender.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The pause after nothing could be leased although something is due, because an earlier event of its order waits. It
/// doubles up to the longest one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The pause after another session held the endpoint's lock. Processes do so for a moment only. It doubles up to
/// [`FIRST_PAUSE`].
const FIRST_LOCK_PAUSE: Duration = Duration::from_millis(2);

/// Tells a sender that something may be due.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    notify: Notify,
    is_fed: AtomicBool,
}

impl Wake {
    /// This process has committed new deliveries.
    pub(crate) fn fed(&self) {
        self.is_fed.store(true, Ordering::Release);
        self.notify.notify_one();
    }

    /// A poll has found something due.
    pub(crate) fn due(&self) {
        self.notify.notify_one();
    }
}

/// When a sender listens to polls.
#[derive(Debug)]
pub(crate) struct Patience {
    pause: Duration,
    until: Instant,
    is_locked: bool,
    lock_pause: Option<Duration>,
}

impl Patience {
    pub(crate) fn new(now: Instant) -> Self {
        Self { pause: FIRST_PAUSE, until: now, is_locked: false, lock_pause: None }
    }

    /// This many deliveries were leased.
    pub(crate) fn leased(&mut self, deliveries: usize, now: Instant) {
        if deliveries > 0 {
            *self = Self::new(now);
        } else {
            self.lock_pause = None;
            self.until = now + self.pause;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Another session held the endpoint's lock, so what is new may still be there.
    pub(crate) fn locked(&mut self) {
        self.is_locked = true;
        let pause = self.lock_pause.map_or(FIRST_LOCK_PAUSE, |pause| (pause * 2).min(FIRST_PAUSE));
        self.lock_pause = Some(pause);
    }

    /// Returns once there is a reason to lease deliveries: new ones, or a poll that came late enough.
    pub(crate) async fn wait(&mut self, wake: &Wake) {
        if let Some(pause) = self.lock_pause.filter(|_| std::mem::take(&mut self.is_locked)) {
            tokio::time::sleep(pause).await;
            return;
        }
        loop {
            wake.notify.notified().await;
            if wake.is_fed.swap(false, Ordering::Acquire) || Instant::now() >= self.until {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_in_vain_makes_the_next_one_later() {
        let start = Instant::now();
        let mut patience = Patience::new(start);
        let mut pauses = Vec::new();
        for _ in 0..6 {
            patience.leased(0, start);
            pauses.push((patience.until - start).as_millis());
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1_000]);
        patience.leased(1, start);
        assert_eq!(patience.until, start);
    }

    #[tokio::test]
    async fn after_a_lock_the_next_attempt_follows_at_once_and_then_less_often() {
        let (wake, mut patience) = (Wake::default(), Patience::new(Instant::now()));
        let mut pauses = Vec::new();
        for _ in 0..7 {
            patience.locked();
            pauses.extend(patience.lock_pause.map(|pause| pause.as_millis()));
            patience.wait(&wake).await;
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 50, 50]);
        assert!(tokio::time::timeout(FIRST_PAUSE, patience.wait(&wake)).await.is_err(), "polls count again");
        patience.leased(0, Instant::now());
        assert_eq!(patience.lock_pause, None);
    }

    #[tokio::test]
    async fn new_deliveries_are_not_waited_for() {
        let (wake, mut patience) = (Wake::default(), Patience::new(Instant::now()));
        patience.leased(0, Instant::now() + Duration::from_hours(1));
        wake.due();
        assert!(tokio::time::timeout(Duration::from_millis(1), patience.wait(&wake)).await.is_err());
        wake.fed();
        patience.wait(&wake).await;
    }
}
