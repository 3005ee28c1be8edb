//! Rounds through the waiting events. Every event is tried in each round: the first ones may be locked for long, and
//! new ones may keep arriving.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use super::queries::{self, Window};

/// Most waiting events that one claim reads: some milliseconds of processor time.
pub(super) const WINDOW: i64 = 2_000;

/// One of this many probes claims events that were probed before. The others claim the newest events, if there are any.
const PROBES_PER_RECHECK: usize = 4;

/// The highest id up to which events without a row have been probed. Newer ones are probed first: an event may have
/// been set aside only because its part of a batch had another one that was locked.
pub(super) struct Newest {
    probed: AtomicI64,
    /// The same once the transaction is committed.
    probing: AtomicI64,
    probes: AtomicUsize,
}

impl Default for Newest {
    fn default() -> Self {
        Self {
            probed: AtomicI64::new(i64::MIN),
            probing: AtomicI64::new(i64::MIN),
            probes: AtomicUsize::new(0),
        }
    }
}

impl Newest {
    /// Whether the next probe claims the newest events first. Not always: older ones must not starve while new ones
    /// arrive.
    pub(super) fn is_first(&self) -> bool {
        self.probes.fetch_add(1, Ordering::Relaxed) % PROBES_PER_RECHECK != PROBES_PER_RECHECK - 1
    }

    pub(super) fn probed(&self) -> i64 {
        self.probed.load(Ordering::Relaxed)
    }

    /// Forgets what an earlier transaction probed, unless it was committed.
    pub(super) fn begin(&self) {
        self.probing.store(i64::MIN, Ordering::Relaxed);
    }

    pub(super) fn probing(&self, up_to: i64) {
        self.probing.fetch_max(up_to, Ordering::Relaxed);
    }

    pub(super) fn committed(&self) {
        self.probed.fetch_max(self.probing.load(Ordering::Relaxed), Ordering::Relaxed);
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

    /// The next window of this round, or the first of the next one. A round ends at the highest id of its start, and at
    /// `newest` at the latest; otherwise it would never end while events arrive.
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
    fn events_that_a_rolled_back_transaction_probed_are_probed_again() {
        let newest = Newest::default();
        newest.begin();
        newest.probing(5);
        newest.begin();
        newest.committed();
        assert_eq!(newest.probed(), i64::MIN);
        newest.probing(7);
        newest.committed();
        assert_eq!(newest.probed(), 7);
    }
}
