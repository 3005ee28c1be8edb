//! The position that a client can resume from.
//!
//! # Why a resume point suffices to find all that a client has missed
//!
//! A resume point is a history and a transaction id, `first_unseen`: the client has seen everything that transactions
//! below `first_unseen` wrote. Its missed changes are the rows with `changed_in >= first_unseen`, provided that no id
//! is used twice. Two events make PostgreSQL use ids again:
//!
//! - **A crash** frees the ids of transactions that left nothing on disk. A resume point never exceeds the newest
//!   visible `changed_in` + 1. A visible row, and with it its id, is on disk (with `synchronous_commit`, the
//!   default), so the ids that are used again lie at or above every resume point.
//! - **A failover** frees the ids that were lost with the old primary. The promoted server starts a new timeline, and
//!   its next id is above every id that it has replayed. So a row written on the new timeline has a higher
//!   `changed_in` than each inherited row, and once a transaction has committed there, the newest row carries the new
//!   timeline.
//!
//! The timeline is therefore taken from the newest row, not from the server. It is part of the data: a standby shows
//! the new timeline exactly when it shows the first row that was written on it. Consider a client with a resume point
//! of the old timeline that connects to a server which follows the promoted one:
//!
//! 1. Nothing was written since the failover, or it has not arrived. The newest row still has the old timeline, so
//!    the resume point is valid. No id has been used twice here, so the resume point hides no visible row, even if it
//!    lies beyond the last replicated row. Until step 2 the client still shows orders that the failover lost: no row
//!    proves yet that they are lost.
//! 2. A row of the new timeline is visible. The histories differ, and the client gets a snapshot.
//!
//! A client that has seen no change has timeline 0, and its resume point is valid on every timeline of the cell.
//! Such a resume point must never be sent with an order: if a failover then lost that order, the client would get no
//! snapshot and would go on showing it. So read-api sends each order with the history in which it read the order.
//!
//! Rows of a restored dump have the history of another cluster or cell, and do not count for the timeline. Neither do
//! rows that a cell brings along when Citus moves it to another server. If it comes back, its resume points from there
//! are valid no more: the history has the shard of the table, which each move makes anew.
//!
//! Not covered: two standbys that are both promoted from the same timeline by hand, without an archive, choose the same
//! timeline number.

use std::fmt;
use std::str::FromStr;

/// `first_unseen` of a client that has seen no change: transaction ids begin at 3.
const NO_CHANGE: i64 = 1;

/// A client that has received the event with this id, and all before it, has seen every write of transactions below
/// `first_unseen`. It is valid on each server with the same history, including a streaming standby that lags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResumePoint {
    /// Transactions of another history may have the same ids.
    pub history: History,
    /// The first transaction whose writes the client may not have seen. All transactions with lower ids have ended.
    pub first_unseen: i64,
}

/// A database and its standbys share a history until one of them is promoted, which starts a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// PostgreSQL's identifier of the database cluster, combined with the number of the cell, and on Citus with its
    /// shard: several cells of a cluster have the same transaction ids and timeline.
    pub system: i64,
    /// The timeline on which the newest summary was written; it grows with every promotion. 0 if no summary was written
    /// in this cluster and cell.
    pub timeline: i64,
}

impl History {
    /// Whether this is the history of a standby that follows `newest` but has not replayed the last promotion yet.
    #[must_use]
    pub fn is_older_than(self, newest: Self) -> bool {
        self.system == newest.system && self.timeline < newest.timeline
    }
}

impl ResumePoint {
    /// Whether the changes since this point are the rows of `history` from `first_unseen` on.
    #[must_use]
    pub fn continues_in(self, history: History) -> bool {
        let saw_no_change = self.history.timeline == 0 && self.first_unseen <= NO_CHANGE;
        self.history == history || (saw_no_change && self.history.system == history.system)
    }

    /// The resume point of a client at `self` that has now been sent everything up to `read`. A lagging server does not
    /// move a client back.
    #[must_use]
    pub fn advanced_to(self, read: Self) -> Self {
        if self.history == read.history && self.first_unseen > read.first_unseen { self } else { read }
    }
}

/// The text is not a resume point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not the id of an event of this stream")]
pub struct InvalidResumePoint;

impl fmt::Display for ResumePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { history: History { system, timeline }, first_unseen } = self;
        write!(f, "{system}.{timeline}.{first_unseen}")
    }
}

impl FromStr for ResumePoint {
    type Err = InvalidResumePoint;

    fn from_str(text: &str) -> Result<Self, InvalidResumePoint> {
        let mut parts = text.splitn(3, '.');
        let mut next = || parts.next().ok_or(InvalidResumePoint)?.parse().map_err(|_| InvalidResumePoint);
        Ok(Self { history: History { system: next()?, timeline: next()? }, first_unseen: next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(timeline: i64, first_unseen: i64) -> ResumePoint {
        ResumePoint { history: History { system: -7_711, timeline }, first_unseen }
    }

    #[test]
    fn a_resume_point_survives_the_round_trip_through_text() {
        let point = point(2, 4_711);
        assert_eq!(point.to_string().parse(), Ok(point));
        for text in ["", "1", "1.2", "1.2.", "1.2.x", "1.2.3.4", "1.2.99999999999999999999", " 1.2.3"] {
            assert_eq!(text.parse::<ResumePoint>(), Err(InvalidResumePoint), "{text}");
        }
    }

    #[test]
    fn a_resume_point_is_valid_in_its_own_history_or_in_its_cluster_if_no_change_was_seen() {
        assert!(point(1, 700).continues_in(point(1, 3).history));
        assert!(!point(1, 700).continues_in(point(2, 3).history));
        assert!(!point(2, 700).continues_in(point(1, 3).history));
        assert!(point(0, NO_CHANGE).continues_in(point(3, 3).history));
        assert!(!point(1, NO_CHANGE).continues_in(point(2, 3).history), "orders sent since may be lost");
        let other = History { system: 1, timeline: 1 };
        assert!(!point(0, NO_CHANGE).continues_in(other));
    }

    #[test]
    fn a_lagging_server_does_not_move_a_client_back() {
        assert_eq!(point(1, 700).advanced_to(point(1, 650)), point(1, 700));
        assert_eq!(point(1, 700).advanced_to(point(1, 750)), point(1, 750));
        assert_eq!(point(1, 700).advanced_to(point(2, 650)), point(2, 650));
    }
}
