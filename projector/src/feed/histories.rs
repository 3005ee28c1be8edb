//! Which checkpoints belong to the log.

use diesel::QueryResult;
use diesel::sql_types::{BigInt, Bool, Nullable};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;

use super::checkpoint::Checkpoint;

/// `missing_up_to` while events are not logged.
const NOT_LOGGED: i64 = i64::MAX;

/// The log and its histories.
///
/// A checkpoint is valid in its own history, and in a later one if it is not beyond the position at which that one
/// began: positions above it were lost in the failover, and later events may have the same numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Histories {
    pub(super) log: LogState,
    /// In order: the history, and the newest position when it began.
    began: Vec<(i64, i64)>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, diesel::Queryable)]
pub(super) struct LogState {
    /// The history in which the newest event was logged.
    pub(super) history: i64,
    missing_up_to: i64,
    settled_below: i64,
    newest: i64,
    /// The newest outbox id that was allocated: no position is beyond it.
    pub(super) allocated: i64,
    /// The server is in another history already.
    is_switching: bool,
}

/// How a checkpoint stands to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Reading can go on.
    Valid,
    /// It is of another database.
    Foreign,
    /// It is beyond a failover that lost events. The log goes on after this checkpoint.
    BeyondFailover(Checkpoint),
}

impl Histories {
    pub(super) async fn load(connection: &mut AsyncPgConnection) -> QueryResult<Self> {
        let rows: Vec<(LogState, Option<i64>, Option<i64>)> =
            RunQueryDsl::load(LogHistories {}, connection).await?;
        let log = rows.as_slice().first().ok_or(diesel::result::Error::NotFound)?.0;
        let began = rows.into_iter().filter_map(|(_, history, after)| history.zip(after)).collect();
        Ok(Self { log, began })
    }

    pub(super) fn standing(&self, checkpoint: Checkpoint) -> Standing {
        let Some(own) = self.began.iter().rposition(|(history, _)| *history == checkpoint.history) else {
            return Standing::Foreign;
        };
        let later = self.began.get(own + 1..).unwrap_or_default();
        if let Some((history, after)) = later.iter().min_by_key(|(_, after)| *after)
            && checkpoint.position > *after
        {
            return Standing::BeyondFailover(Checkpoint { history: *history, position: *after });
        }
        if checkpoint.position <= self.log.allocated {
            return Standing::Valid;
        }
        if self.log.is_switching {
            // As the first event of the new history will record it.
            return Standing::BeyondFailover(Checkpoint { position: self.log.newest, ..checkpoint });
        }
        Standing::Foreign
    }
}

impl LogState {
    pub(super) fn is_logged(&self) -> bool {
        self.missing_up_to != NOT_LOGGED
    }

    /// Before the oldest event that the log is sure to have.
    pub(super) fn start(&self) -> Checkpoint {
        Checkpoint { history: self.history, position: self.missing_up_to }
    }

    /// Before all events that will be logged. `settled_below`: this process knows that no event will be logged below.
    pub(super) fn now(&self, settled_below: i64) -> Checkpoint {
        let settled = self.settled_below.max(settled_below) - 1;
        Checkpoint { history: self.history, position: settled.min(self.newest).max(self.missing_up_to) }
    }
}

statement! {
    struct LogHistories = "log_histories.sql" ->
        ((BigInt, BigInt, BigInt, BigInt, BigInt, Bool), Nullable<BigInt>, Nullable<BigInt>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(history: i64, position: i64) -> Checkpoint {
        Checkpoint { history, position }
    }

    fn histories(began: &[(i64, i64)]) -> Histories {
        let history = began.last().map_or(0, |(history, _)| *history);
        let log = LogState { history, newest: 90, allocated: 100, ..LogState::default() };
        Histories { log, began: began.to_vec() }
    }

    #[test]
    fn a_checkpoint_of_a_later_history_or_of_another_database_is_told_from_a_valid_one() {
        let histories = histories(&[(1, 0), (2, 50), (3, 40), (4, 70)]);
        for (checkpoint, expected) in [
            (at(4, 100), Standing::Valid),
            (at(4, 101), Standing::Foreign),
            (at(3, 70), Standing::Valid),
            (at(3, 71), Standing::BeyondFailover(at(4, 70))),
            (at(1, 40), Standing::Valid),
            (at(1, 41), Standing::BeyondFailover(at(3, 40))),
            (at(5, 1), Standing::Foreign),
        ] {
            assert_eq!(histories.standing(checkpoint), expected, "{checkpoint:?}");
        }
    }

    #[test]
    fn lost_positions_are_beyond_the_failover_before_the_new_history_has_events() {
        let mut histories = histories(&[(1, 0)]);
        histories.log.is_switching = true;
        assert_eq!(histories.standing(at(1, 100)), Standing::Valid);
        assert_eq!(histories.standing(at(1, 101)), Standing::BeyondFailover(at(1, 90)));
    }

    #[test]
    fn now_is_before_every_event_that_may_still_be_logged() {
        let log = LogState { settled_below: 31, newest: 90, missing_up_to: 20, ..LogState::default() };
        assert_eq!([0, 50, 200].map(|settled| log.now(settled).position), [30, 49, 90]);
        assert_eq!(LogState { newest: 0, ..log }.now(0).position, 20);
    }
}
