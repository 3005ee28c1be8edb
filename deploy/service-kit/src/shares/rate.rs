//! Requests a second, for each key.

use std::num::NonZeroU32;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::{Quota, RateLimiter};

use super::bounded_store::{BoundedStore, Changing, Unchanged};
use crate::overload::OncePerSecond;

/// How many requests a second each key may make, and how many at once after a pause.
pub(super) struct Rate<C: Clock = MonotonicClock> {
    limiter: RateLimiter<u64, Changing, C, NoOpMiddleware<C::Instant>>,
    /// Over the same states.
    preview: RateLimiter<u64, Unchanged, C, NoOpMiddleware<C::Instant>>,
    store: std::sync::Arc<BoundedStore>,
    sweep: OncePerSecond,
}

impl<C: Clock + Clone> Rate<C> {
    pub(super) fn new(per_s: NonZeroU32, burst: NonZeroU32, clock: C) -> Self {
        let quota = Quota::per_second(per_s).allow_burst(burst);
        let store = BoundedStore::new();
        Self {
            limiter: RateLimiter::new(quota, Changing(store.clone()), clock.clone()),
            preview: RateLimiter::new(quota, Unchanged(store.clone()), clock),
            store,
            sweep: OncePerSecond::new(),
        }
    }

    /// Counts a request. Returns whether it is within the share of this key.
    pub(super) fn admits(&self, key: u64) -> bool {
        let is_admitted = self.limiter.check_key(&key).is_ok();
        // A sweep visits all keys, so it must not follow each new one.
        if self.store.take_crowded() && self.sweep.count().is_some() {
            self.limiter.retain_recent();
        }
        is_admitted
    }

    /// Whether a request of this key would be admitted. Counts nothing.
    pub(super) fn would_admit(&self, key: u64) -> bool {
        self.preview.check_key(&key).is_ok()
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> usize {
        self.limiter.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::super::bounded_store::KEYS_MAX;
    use super::*;

    fn rate(per_s: u32, burst: u32) -> (Rate<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let [per_s, burst] = [per_s, burst].map(|number| NonZeroU32::new(number).unwrap());
        (Rate::new(per_s, burst, clock.clone()), clock)
    }

    /// Keys as the hasher makes them: evenly distributed.
    fn key(number: u64) -> u64 {
        number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29)
    }

    #[test]
    fn a_key_has_its_burst_and_then_its_rate_and_others_have_theirs() {
        let (rate, clock) = rate(10, 20);
        assert_eq!((0..30).filter(|_| rate.admits(1)).count(), 20);
        assert!(!rate.would_admit(1) && rate.would_admit(2), "the other one has used nothing");
        for _ in 0..1_000 {
            assert!(rate.would_admit(2), "to ask counts nothing");
        }
        clock.advance(Duration::from_secs(1));
        assert_eq!((0..30).filter(|_| rate.admits(1)).count(), 10);
        clock.advance(Duration::from_mins(1));
        assert_eq!((0..30).filter(|_| rate.admits(1)).count(), 20);
        assert_eq!((0..30).filter(|_| rate.admits(2)).count(), 20);
    }

    #[test]
    fn a_million_keys_take_the_memory_of_a_bounded_number_and_all_stay_limited() {
        let (rate, _clock) = rate(100, 200);
        let known = key(0);
        assert_eq!((0..300).filter(|_| rate.admits(known)).count(), 200);
        let admitted = (1..=1_000_000).filter(|number| rate.admits(key(*number))).count();
        assert!(rate.keys() <= KEYS_MAX, "{}", rate.keys());
        // Those that found room once, and those that share.
        assert!(admitted <= KEYS_MAX + 16 * 200, "{admitted}");
        assert!(!rate.admits(known), "a flood does not make it forget");
    }

    #[test]
    fn keys_that_are_idle_make_room() {
        let (rate, clock) = rate(100, 200);
        for number in 0..200_000 {
            rate.admits(key(number));
        }
        clock.advance(Duration::from_secs(10));
        // A sweep comes at most once in a second of the real clock.
        let start = std::time::Instant::now();
        while rate.keys() > KEYS_MAX / 2 {
            rate.admits(key(200_000));
            assert!(start.elapsed() < Duration::from_secs(30), "{} keys stay", rate.keys());
        }
        assert!(rate.admits(key(300_000)));
    }
}
