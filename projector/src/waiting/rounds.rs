//! Which waiting events are tried next. All have their turn: those that are tried first may be locked for long, and others may keep
//! coming.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use super::{self as waiting, Window};

/// Events of orders without a row are tried at least this often, also while unlocked events keep coming.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// Of so many tries one is of events that were tried before; the others are of the newest, where there are any.
const TRIES_PER_ROUND: usize = 4;

/// How many waiting events a claim looks through at most. It keeps a core busy for a millisecond or two, in which others wait.
/// Trying a lock costs most.
const UNLOCKED_WINDOW: i64 = 500;
pub(crate) const WITHOUT_ROW_WINDOW: i64 = 2_000;

/// Where the next claims of waiting events begin.
pub(crate) struct WaitingTurns {
    pub(crate) unlocked: Turn,
    pub(crate) without_row: Turn,
    pub(crate) newest: Newest,
    probe: Mutex<Probe>,
}

impl Default for WaitingTurns {
    fn default() -> Self {
        Self {
            unlocked: Turn::with_windows_of(UNLOCKED_WINDOW),
            without_row: Turn::with_windows_of(WITHOUT_ROW_WINDOW),
            newest: Newest::default(),
            probe: Mutex::default(),
        }
    }
}

#[derive(Default)]
struct Probe {
    is_last_claim: bool,
    ended_at: Option<Instant>,
}

impl WaitingTurns {
    /// Never twice in a row, however long a probe takes: those whose rows are unlocked have their turn as well.
    pub(crate) fn is_probe_due(&self) -> bool {
        let mut probe = self.probe.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut probe.is_last_claim) {
            probe.ended_at = Some(Instant::now());
            return false;
        }
        probe.ended_at.is_none_or(|ended| ended.elapsed() >= PROBE_EVERY)
    }

    pub(crate) fn probed(&self) {
        self.probe.lock().unwrap_or_else(PoisonError::into_inner).is_last_claim = true;
    }
}

/// Up to which id events without a row have been tried. The others come first: an event is also set aside because of others
/// beside it.
pub(crate) struct Newest {
    tried: AtomicI64,
    /// The same once the transaction is committed.
    trying: AtomicI64,
    tries: AtomicUsize,
}

impl Default for Newest {
    fn default() -> Self {
        Self { tried: AtomicI64::new(i64::MIN), trying: AtomicI64::new(i64::MIN), tries: AtomicUsize::new(0) }
    }
}

impl Newest {
    /// Not always: those that were tried before have to be tried again while others keep coming.
    pub(crate) fn is_their_turn(&self) -> bool {
        self.tries.fetch_add(1, Ordering::Relaxed) % TRIES_PER_ROUND != TRIES_PER_ROUND - 1
    }

    pub(crate) fn tried(&self) -> i64 {
        self.tried.load(Ordering::Relaxed)
    }

    /// What an earlier transaction has tried was rolled back, if it is not noted yet.
    pub(crate) fn begin(&self) {
        self.trying.store(i64::MIN, Ordering::Relaxed);
    }

    pub(crate) fn trying(&self, up_to: i64) {
        self.trying.fetch_max(up_to, Ordering::Relaxed);
    }

    pub(crate) fn committed(&self) {
        self.tried.fetch_max(self.trying.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// A round through all events by id, and the next one after it.
pub(crate) struct Turn {
    /// How many events a claim looks through at most.
    size: i64,
    /// The next claim begins after this id.
    after: AtomicI64,
    /// The round ends with this one.
    up_to: AtomicI64,
}

impl Turn {
    fn with_windows_of(size: i64) -> Self {
        Self { size, after: AtomicI64::new(i64::MIN), up_to: AtomicI64::new(i64::MIN) }
    }

    /// Whether the next claim goes on with a round that others have begun.
    pub(crate) fn is_within_round(&self) -> bool {
        self.after.load(Ordering::Relaxed) != i64::MIN
    }

    /// From the start again where there is nothing more. A round ends at what is the `newest` when it begins: while others keep
    /// coming no other would begin.
    pub(crate) async fn window(
        &self,
        connection: &mut AsyncPgConnection,
        newest: i64,
    ) -> QueryResult<Option<Window>> {
        let after = self.after.load(Ordering::Relaxed);
        if after != i64::MIN
            && let Some(window) = self.rest_of_round(connection, after).await?
        {
            return Ok(Some(window));
        }
        self.after.store(i64::MIN, Ordering::Relaxed);
        self.up_to.store(newest, Ordering::Relaxed);
        self.rest_of_round(connection, i64::MIN).await
    }

    async fn rest_of_round(
        &self,
        connection: &mut AsyncPgConnection,
        after: i64,
    ) -> QueryResult<Option<Window>> {
        let end = self.up_to.load(Ordering::Relaxed);
        if after >= end {
            return Ok(None);
        }
        let window = waiting::window(connection, after, self.size).await?;
        Ok(window.map(|window| Window { up_to: window.up_to.min(end), ..window }))
    }

    /// After `window`, or `within` it where there may be more.
    pub(crate) fn go_on_after(&self, window: Window, within: Option<i64>) {
        let is_last = window.events < self.size || window.up_to >= self.up_to.load(Ordering::Relaxed);
        let rest = if is_last { i64::MIN } else { window.up_to };
        self.after.store(within.unwrap_or(rest), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_transaction_has_tried_that_was_rolled_back_is_tried_again() {
        let newest = Newest::default();
        newest.begin();
        newest.trying(5);
        newest.begin();
        newest.committed();
        assert_eq!(newest.tried(), i64::MIN);
        newest.trying(7);
        newest.committed();
        assert_eq!(newest.tried(), 7);
    }
}
