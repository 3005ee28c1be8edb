//! How many events are applied at once while some are refused: the more are refused, the smaller are parts and batches.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::savepoints::MAX_SAVEPOINTS;

/// In a batch of this size each event can have a savepoint, so no batch needs to be smaller.
const BATCH_MIN: usize = MAX_SAVEPOINTS;
/// Events between two refused ones, before anything is known.
const FIRST_GAP: usize = 1_000;
const GAP_MAX: usize = 100_000;
/// A gap is applied in this many parts. More parts cost more statements; larger parts fail more often
/// and are applied again.
const PARTS_PER_GAP: usize = 2;
/// A batch contains about this many refused events.
const GAPS_PER_BATCH: usize = 4;
/// Batches are applied in parts until nothing has been refused for this long.
const CALM_AFTER: Duration = Duration::from_secs(10);

/// Whether batches are applied in parts, and of which size. The workers of a process share it.
pub(super) struct PartSize(Mutex<State>);

struct State {
    until: Option<Instant>,
    gap: usize,
}

impl Default for PartSize {
    fn default() -> Self {
        Self(Mutex::new(State { until: None, gap: FIRST_GAP }))
    }
}

impl PartSize {
    /// The size of parts; none while batches are applied all at once.
    pub(super) fn get(&self) -> Option<usize> {
        self.with(|state| state.is_on().then(|| (state.gap / PARTS_PER_GAP).max(1)))
    }

    /// `limit`, or less while many events are refused.
    pub(super) fn batch_limit(&self, limit: i64) -> i64 {
        let most =
            self.with(|state| state.is_on().then(|| state.gap.saturating_mul(GAPS_PER_BATCH).max(BATCH_MIN)));
        most.and_then(|most| i64::try_from(most).ok()).map_or(limit, |most| most.min(limit))
    }

    pub(super) fn switch_on(&self) {
        self.with(|state| state.until = Some(Instant::now() + CALM_AFTER));
    }

    /// A batch was too large.
    pub(super) fn shrink(&self) {
        self.with(|state| state.gap = (state.gap / 4).max(1));
    }

    /// `refused` of the `events` of a batch were refused.
    pub(super) fn record(&self, events: usize, refused: usize) {
        self.with(|state| {
            if !state.is_on() {
                return;
            }
            if let Some(gap) = events.checked_div(refused) {
                state.gap = usize::midpoint(state.gap, gap).max(1);
                state.until = Some(Instant::now() + CALM_AFTER);
            } else {
                state.gap = state.gap.saturating_add(events / 4).min(GAP_MAX);
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn is_on(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_events_are_refused_the_smaller_are_parts_and_batches() {
        let part_size = PartSize::default();
        assert_eq!((part_size.get(), part_size.batch_limit(5_000)), (None, 5_000));
        part_size.record(100, 0);
        assert_eq!(part_size.get(), None, "nothing was refused");
        part_size.switch_on();
        assert_eq!((part_size.get(), part_size.batch_limit(5_000)), (Some(500), 4_000));
        for _ in 0..20 {
            part_size.record(200, 2);
        }
        assert_eq!((part_size.get(), part_size.batch_limit(5_000)), (Some(50), 400));
        for _ in 0..20 {
            part_size.record(64, 32);
        }
        assert_eq!((part_size.get(), part_size.batch_limit(5_000)), (Some(1), 64));
        for _ in 0..100 {
            part_size.record(5_000, 0);
        }
        assert_eq!(part_size.batch_limit(5_000), 5_000);
    }
}
