//! Wakes a sender.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The pause after nothing could be leased although something is due, because an earlier event of its order waits. It
/// doubles up to the longest one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

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
}

impl Patience {
    pub(crate) fn new(now: Instant) -> Self {
        Self { pause: FIRST_PAUSE, until: now }
    }

    /// This many deliveries were leased.
    pub(crate) fn leased(&mut self, deliveries: usize, now: Instant) {
        if deliveries > 0 {
            *self = Self::new(now);
        } else {
            self.until = now + self.pause;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Returns once there is a reason to lease deliveries: new ones, or a poll that came late enough.
    pub(crate) async fn wait(&self, wake: &Wake) {
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
    async fn new_deliveries_are_not_waited_for() {
        let (wake, mut patience) = (Wake::default(), Patience::new(Instant::now()));
        patience.leased(0, Instant::now() + Duration::from_hours(1));
        wake.due();
        assert!(tokio::time::timeout(Duration::from_millis(1), patience.wait(&wake)).await.is_err());
        wake.fed();
        patience.wait(&wake).await;
    }
}
