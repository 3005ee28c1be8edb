//! Rounds through the waiting events. Every event is tried in each round: the first ones may be locked for long, and
//! new ones may keep arriving.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use super::queries::{self, Window};

/// Most waiting events that one statement reads: some milliseconds of processor time.
pub const WINDOW: i64 = 2_000;

/// Every fourth trial claim prefers events that were tried before. The others prefer the newest events.
const OLDER_FIRST_EVERY: usize = 4;

/// Trial claims have tried all events up to this id. Events above it are tried first: some may not be locked at all.
/// They were set aside together with a locked event in the same part of a batch.
pub(super) struct TriedUpTo {
    committed: AtomicI64,
    /// The value of `committed` if this transaction commits.
    pending: AtomicI64,
    /// The number of trial claims.
    count: AtomicUsize,
}

impl Default for TriedUpTo {
    fn default() -> Self {
        Self {
            committed: AtomicI64::new(i64::MIN),
            pending: AtomicI64::new(i64::MIN),
            count: AtomicUsize::new(0),
        }
    }
}

impl TriedUpTo {
    /// Counts a trial claim. Returns whether it claims the newest events first. Not always: older ones must not starve
    /// while new ones arrive.
    pub(super) fn count_trial(&self) -> bool {
        self.count.fetch_add(1, Ordering::Relaxed) % OLDER_FIRST_EVERY != OLDER_FIRST_EVERY - 1
    }

    pub(super) fn get(&self) -> i64 {
        self.committed.load(Ordering::Relaxed)
    }

    /// Forgets what an earlier transaction tried, unless it was committed.
    pub(super) fn begin(&self) {
        self.pending.store(i64::MIN, Ordering::Relaxed);
    }

    pub(super) fn record(&self, id: i64) {
        self.pending.fetch_max(id, Ordering::Relaxed);
    }

    pub(super) fn commit(&self) {
        self.committed.fetch_max(self.pending.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// A round through all events by id, in windows. After it the next round starts.
pub(super) struct Round {
    /// The next window starts after this id.
    after: AtomicI64,
    /// The round ends at this id.
    end: AtomicI64,
}

impl Default for Round {
    fn default() -> Self {
        Self { after: AtomicI64::new(i64::MIN), end: AtomicI64::new(i64::MIN) }
    }
}

impl Round {
    /// Whether the round has started and not ended.
    pub(super) fn is_unfinished(&self) -> bool {
        self.after.load(Ordering::Relaxed) != i64::MIN
    }

    /// The next window of this round, or the first of the next one. A round covers the ids that existed when it
    /// started, none above `newest`. Otherwise it would never end while events arrive.
    pub(super) async fn window(
        &self,
        connection: &mut AsyncPgConnection,
        newest: i64,
    ) -> QueryResult<Option<Window>> {
        let after = self.after.load(Ordering::Relaxed);
        let end = self.end.load(Ordering::Relaxed);
        if after != i64::MIN
            && after < end
            && let Some(window) = queries::window(connection, after, WINDOW).await?
        {
            return Ok(Some(Window { up_to: window.up_to.min(end), ..window }));
        }
        self.after.store(i64::MIN, Ordering::Relaxed);
        let Some(window) = queries::window(connection, i64::MIN, WINDOW).await? else { return Ok(None) };
        let end = newest.min(window.newest);
        self.end.store(end, Ordering::Relaxed);
        Ok((end > i64::MIN).then(|| Window { up_to: window.up_to.min(end), ..window }))
    }

    /// Continues after `window`, or after `last_claimed` if the window may have more events to claim.
    pub(super) fn continue_after(&self, window: Window, last_claimed: Option<i64>) {
        let is_last = window.events < WINDOW || window.up_to >= self.end.load(Ordering::Relaxed);
        let rest = if is_last { i64::MIN } else { window.up_to };
        self.after.store(last_claimed.unwrap_or(rest), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_that_a_rolled_back_transaction_tried_are_tried_again() {
        let tried_up_to = TriedUpTo::default();
        tried_up_to.begin();
        tried_up_to.record(5);
        tried_up_to.begin();
        tried_up_to.commit();
        assert_eq!(tried_up_to.get(), i64::MIN);
        tried_up_to.record(7);
        tried_up_to.commit();
        assert_eq!(tried_up_to.get(), 7);
    }
}
