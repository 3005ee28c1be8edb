//! Which waiting events are tried next.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use super::queries;
use super::rounds::{Round, TriedUpTo, WINDOW};
use crate::outbox::{ClaimLimits, ClaimedEvent};

/// Most events in a trial claim: each whose row another session has inserted and not committed costs a wait.
pub(crate) const TRIAL_BATCH: usize = 64;
/// A trial claim follows at least this often, also while unlocked events keep arriving.
const TRIAL_EVERY: Duration = Duration::from_millis(500);

/// Where the next claims of waiting events start. The workers of a process share it.
#[derive(Default)]
pub(crate) struct Schedule {
    unlocked: Round,
    without_row: Round,
    tried_up_to: TriedUpTo,
    last_trial: Mutex<LastTrial>,
}

#[derive(Default)]
struct LastTrial {
    last_claim_was_trial: bool,
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
    /// Claims waiting events whose rows can be locked now. If a window has none, and regularly, it makes a trial claim:
    /// a few events that have no visible row. Only applying them shows whether another session has inserted the row.
    pub(crate) async fn claim(
        &self,
        connection: &mut AsyncPgConnection,
        limits: ClaimLimits,
    ) -> QueryResult<WaitingClaim> {
        self.tried_up_to.begin();
        let is_trial_due = self.end_last_trial_or_is_next_due();
        if is_trial_due {
            let events = self.claim_without_row(connection, limits).await?;
            if !events.is_empty() {
                return Ok(WaitingClaim { events, one_by_one: true });
            }
        }
        let events = self.claim_unlocked(connection, limits).await?;
        if events.is_empty() && !is_trial_due {
            let events = self.claim_without_row(connection, limits).await?;
            return Ok(WaitingClaim { one_by_one: !events.is_empty(), events });
        }
        Ok(WaitingClaim { events, one_by_one: false })
    }

    /// The transaction of the last claim was committed.
    pub(crate) fn committed(&self) {
        self.tried_up_to.commit();
    }

    /// Whether the locks of some waiting events have not been tried in this round.
    pub(crate) fn is_round_unfinished(&self) -> bool {
        self.unlocked.is_unfinished()
    }

    /// Whether a trial claim is due. The first call after a trial claim notes the end of that claim and returns false:
    /// an ordinary claim always follows, so that a long trial cannot starve unlocked events.
    fn end_last_trial_or_is_next_due(&self) -> bool {
        let mut last = self.last_trial.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut last.last_claim_was_trial) {
            last.ended_at = Some(Instant::now());
            return false;
        }
        last.ended_at.is_none_or(|ended| ended.elapsed() >= TRIAL_EVERY)
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
        let max_events = i64::try_from(TRIAL_BATCH).unwrap_or(i64::MAX);
        let limits = ClaimLimits { events: limits.events.min(max_events), ..limits };
        self.last_trial.lock().unwrap_or_else(PoisonError::into_inner).last_claim_was_trial = true;
        let newest_first = self.tried_up_to.count_trial();
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
        let window = queries::window(connection, self.tried_up_to.get(), WINDOW).await?;
        let Some(window) = window else { return Ok(Vec::new()) };
        let claimed = queries::claim_without_row(connection, window, limits).await?;
        self.tried_up_to.record(claimed.last().map_or(window.up_to, |event| event.id));
        Ok(claimed)
    }

    async fn claim_next_without_row(
        &self,
        connection: &mut AsyncPgConnection,
        limits: ClaimLimits,
    ) -> QueryResult<Vec<ClaimedEvent>> {
        let round = &self.without_row;
        let window = round.window(connection, self.tried_up_to.get()).await?;
        let Some(window) = window else { return Ok(Vec::new()) };
        let claimed = queries::claim_without_row(connection, window, limits).await?;
        // The claimed events may still be locked, so the round continues after them.
        round.continue_after(window, claimed.last().map(|event| event.id));
        Ok(claimed)
    }
}
