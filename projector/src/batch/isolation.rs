//! How much is applied at once while events are refused: the more are, the smaller are parts and batches.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::savepoints::SAVEPOINTS_MAX;

/// A batch never has to be smaller: each of its events can have a savepoint.
const SMALLEST_BATCH: usize = SAVEPOINTS_MAX;
/// Good events between two refused ones, before anything is known.
const FIRST_GAP: usize = 1_000;
const LONGEST_GAP: usize = 100_000;
/// Parts of this share of a gap cost least: more parts cost more statements, larger ones are written twice more often.
const PARTS_PER_GAP: usize = 2;
/// A batch has room for about so many refused events.
const GAPS_PER_BATCH: usize = 4;
/// Parts are used until nothing has been refused for this long.
const CALM_AFTER: Duration = Duration::from_secs(10);

/// Whether batches are applied in parts, and in which. The workers of a process share it.
pub(super) struct Isolation(Mutex<State>);

struct State {
    until: Option<Instant>,
    gap: usize,
}

impl Default for Isolation {
    fn default() -> Self {
        Self(Mutex::new(State { until: None, gap: FIRST_GAP }))
    }
}

impl Isolation {
    /// The size of parts; nothing while batches are applied in one go.
    pub(super) fn part(&self) -> Option<usize> {
        self.with(|state| state.is_on().then(|| (state.gap / PARTS_PER_GAP).max(1)))
    }

    /// `limit`, or less while much is refused.
    pub(super) fn batch_limit(&self, limit: i64) -> i64 {
        let most = self.with(|state| {
            state.is_on().then(|| state.gap.saturating_mul(GAPS_PER_BATCH).max(SMALLEST_BATCH))
        });
        most.and_then(|most| i64::try_from(most).ok()).map_or(limit, |most| most.min(limit))
    }

    pub(super) fn switch_on(&self) {
        self.with(|state| state.until = Some(Instant::now() + CALM_AFTER));
    }

    /// A batch was too large.
    pub(super) fn shrink(&self) {
        self.with(|state| state.gap = (state.gap / 4).max(1));
    }

    /// So many events of a batch were refused.
    pub(super) fn record(&self, events: usize, refused: usize) {
        self.with(|state| {
            if !state.is_on() {
                return;
            }
            if let Some(gap) = events.checked_div(refused) {
                state.gap = usize::midpoint(state.gap, gap).max(1);
                state.until = Some(Instant::now() + CALM_AFTER);
            } else {
                state.gap = state.gap.saturating_add(events / 4).min(LONGEST_GAP);
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
    fn the_more_is_refused_the_smaller_are_parts_and_batches() {
        let isolation = Isolation::default();
        assert_eq!((isolation.part(), isolation.batch_limit(5_000)), (None, 5_000));
        isolation.record(100, 0);
        assert_eq!(isolation.part(), None, "nothing was refused");
        isolation.switch_on();
        assert_eq!((isolation.part(), isolation.batch_limit(5_000)), (Some(500), 4_000));
        for _ in 0..20 {
            isolation.record(200, 2);
        }
        assert_eq!((isolation.part(), isolation.batch_limit(5_000)), (Some(50), 400));
        for _ in 0..20 {
            isolation.record(64, 32);
        }
        assert_eq!((isolation.part(), isolation.batch_limit(5_000)), (Some(1), 64));
        for _ in 0..100 {
            isolation.record(5_000, 0);
        }
        assert_eq!(isolation.batch_limit(5_000), 5_000);
    }
}
