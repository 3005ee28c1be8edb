//! Which waiting events are tried next.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use super::queries;
use super::rounds::{Newest, Round, WINDOW};
use crate::outbox::{ClaimLimits, ClaimedEvent};

/// Most events without a row in one batch: each whose row another session has inserted and not committed costs a wait.
pub(crate) const PROBE_BATCH: usize = 64;
/// Events without a row are probed at least this often, also while unlocked events keep arriving.
const PROBE_EVERY: Duration = Duration::from_millis(500);

/// Where the next claims of waiting events start. The workers of a process share it.
#[derive(Default)]
pub(crate) struct Schedule {
    unlocked: Round,
    without_row: Round,
    newest: Newest,
    probe: Mutex<LastProbe>,
}

#[derive(Default)]
struct LastProbe {
    is_last_claim: bool,
    ended_at: Option<Instant>,
}

/// Waiting events that were claimed together.
#[derive(Default)]
pub(crate) struct WaitingClaim {
    pub(crate) events: Vec<ClaimedEvent>,
    /// Whether to apply them one by one. Most may be locked, and each half of a part would wait again.
    pub(crate) one_by_one: bool,
}

impl Schedule {
    /// Claims waiting events whose rows can be locked now. If a window has none, and regularly, it claims a few events
    /// that have no visible row: only applying them shows whether another session has inserted the row.
    pub(crate) async fn claim(
        &self,
        connection: &mut AsyncPgConnection,
        limits: ClaimLimits,
    ) -> QueryResult<WaitingClaim> {
        self.newest.begin();
        let is_probe_due = self.is_probe_due();
        if is_probe_due {
            let events = self.claim_without_row(connection, limits).await?;
            if !events.is_empty() {
                return Ok(WaitingClaim { events, one_by_one: true });
            }
        }
        let events = self.claim_unlocked(connection, limits).await?;
        if events.is_empty() && !is_probe_due {
            let events = self.claim_without_row(connection, limits).await?;
            return Ok(WaitingClaim { one_by_one: !events.is_empty(), events });
        }
        Ok(WaitingClaim { events, one_by_one: false })
    }

    /// The transaction of the last claim was committed.
    pub(crate) fn committed(&self) {
        self.newest.committed();
    }

    /// Whether the locks of some waiting events have not been tried in this round.
    pub(crate) fn is_round_unfinished(&self) -> bool {
        self.unlocked.is_unfinished()
    }

    /// Never twice in a row, however long a probe takes: unlocked events must not starve.
    fn is_probe_due(&self) -> bool {
        let mut probe = self.probe.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut probe.is_last_claim) {
            probe.ended_at = Some(Instant::now());
            return false;
        }
        probe.ended_at.is_none_or(|ended| ended.elapsed() >= PROBE_EVERY)
    }

    async fn claim_unlocked(
        &self,
        connection: &mut AsyncPgConnection,
        limits: ClaimLimits,
    ) -> QueryResult<Vec<ClaimedEvent>> {
        let round = &self.unlocked;
        let Some(window) = round.window(connection, i64::MAX).await? else { return Ok(Vec::new()) };
        let claimed = queries::claim_unlocked(connection, window, limits).await?;
        // The limits may have cut the claim: the window may have more.
        round.continue_after(window, claimed.last().map(|event| event.id));
        Ok(claimed)
    }

    async fn claim_without_row(
        &self,
        connection: &mut AsyncPgConnection,
        limits: ClaimLimits,
    ) -> QueryResult<Vec<ClaimedEvent>> {
        let max_events = i64::try_from(PROBE_BATCH).unwrap_or(i64::MAX);
        let limits = ClaimLimits { events: limits.events.min(max_events), ..limits };
        self.probe.lock().unwrap_or_else(PoisonError::into_inner).is_last_claim = true;
        let newest_first = self.newest.is_first();
        for is_newest in [newest_first, !newest_first] {
            let claimed = if is_newest {
                self.claim_newest_without_row(connection, limits).await?
            } else {
                self.claim_next_without_row(connection, limits).await?
            };
            if !claimed.is_empty() {
                return Ok(claimed);
            }
        }
        Ok(Vec::new())
    }

    async fn claim_newest_without_row(
        &self,
        connection: &mut AsyncPgConnection,
        limits: ClaimLimits,
    ) -> QueryResult<Vec<ClaimedEvent>> {
        let window = queries::window(connection, self.newest.probed(), WINDOW).await?;
        let Some(window) = window else { return Ok(Vec::new()) };
        let claimed = queries::claim_without_row(connection, window, limits).await?;
        self.newest.probing(claimed.last().map_or(window.up_to, |event| event.id));
        Ok(claimed)
    }

    async fn claim_next_without_row(
        &self,
        connection: &mut AsyncPgConnection,
        limits: ClaimLimits,
    ) -> QueryResult<Vec<ClaimedEvent>> {
        let round = &self.without_row;
        let window = round.window(connection, self.newest.probed()).await?;
        let Some(window) = window else { return Ok(Vec::new()) };
        let claimed = queries::claim_without_row(connection, window, limits).await?;
        // The claimed events may stay, so the round passes them.
        round.continue_after(window, claimed.last().map(|event| event.id));
        Ok(claimed)
    }
}
