//! Whether the threads that serve the API still run their event loops.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Pause between two heartbeats of a thread.
const BEAT: Duration = Duration::from_secs(1);

/// A thread whose event loop has not run for this long does not recover by itself.
const STALLED_AFTER: Duration = Duration::from_secs(10);

/// The heartbeats of all threads that serve the API.
#[derive(Clone)]
pub struct Heartbeats {
    start: Instant,
    stalled_after: Duration,
    threads: Arc<Mutex<Vec<Weak<AtomicU64>>>>,
}

impl Default for Heartbeats {
    fn default() -> Self {
        Self::with_limit(STALLED_AFTER)
    }
}

impl Heartbeats {
    pub(super) fn with_limit(stalled_after: Duration) -> Self {
        Self { start: Instant::now(), stalled_after, threads: Arc::default() }
    }

    /// Records heartbeats of the calling thread's event loop until it ends.
    pub(super) fn beat_on_this_thread(&self) {
        let beat = Arc::new(AtomicU64::new(self.now()));
        self.lock().push(Arc::downgrade(&beat));
        let (heartbeats, every) = (self.clone(), BEAT.min(self.stalled_after / 4));
        actix_web::rt::spawn(async move {
            loop {
                beat.store(heartbeats.now(), Ordering::Relaxed);
                tokio::time::sleep(every).await;
            }
        });
    }

    /// Whether all threads have run recently. Ended threads do not count.
    #[must_use]
    pub fn are_recent(&self) -> bool {
        let oldest = self.now().saturating_sub(millis(self.stalled_after));
        let mut threads = self.lock();
        threads.retain(|thread| thread.strong_count() > 0);
        threads.iter().filter_map(Weak::upgrade).all(|beat| beat.load(Ordering::Relaxed) >= oldest)
    }

    fn now(&self) -> u64 {
        millis(self.start.elapsed())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<AtomicU64>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
