//! How far a client has read.
//!
//! # Why a mark is enough to find what a client has missed
//!
//! A mark is a history and a transaction id, `settled`: the client has seen everything that transactions below `settled` wrote.
//! So its changes are the rows with `changed_in >= settled`, if ids are given out once. Two things give ids again:
//!
//! - **A crash** gives again the ids of transactions that left nothing on disk. A mark never exceeds the newest visible
//!   `changed_in` + 1. A visible row, and with it its id, is on disk (with `synchronous_commit`, the default), so the ids that
//!   are given again lie at or above every mark.
//! - **A failover** gives again the ids that were lost with the old primary. The promoted server starts a new timeline, and its
//!   next id is above every id that it has replayed. So whatever is written on the new timeline has a higher `changed_in` than
//!   each row that it inherited, and from the first commit on the newest row carries the new timeline.
//!
//! The timeline is therefore taken from the newest row, not from the server. It is part of the data: a standby shows the new
//! timeline exactly when it shows the first row that was written on it. Consider a client with a mark of the old timeline that
//! comes to a server that follows the promoted one:
//!
//! 1. Nothing was written since the failover, or it has not arrived. The newest row still has the old timeline, so the mark
//!    counts. No id has been given again here, so no row that is visible can be hidden by the mark, even one beyond the end of
//!    what was replicated. The client keeps what was lost until step 2, as nothing shows yet that it was lost.
//! 2. A row of the new timeline is visible. The histories differ, and the client gets a snapshot.
//!
//! A mark of a reader that has seen no change continues in each history of the cluster. So an order must never be sent under one:
//! it is sent under the history in which it was read, or the loss of the very first orders would not be noticed.
//!
//! Rows that a restored dump brought have the history of another cluster, and do not count for the timeline.
//!
//! Not covered: two standbys that are both promoted from the same timeline by hand, without an archive, choose the same number.

use std::fmt;
use std::str::FromStr;

/// The mark of a reader that has seen no change: transaction ids begin at 3.
const NOTHING: i64 = 1;

/// A client that has received this and all before it has seen what every transaction below `settled` wrote. It holds on each
/// server with the same history, such as a streaming standby, also on one that is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Which history. Transactions of another one may have the same ids.
    pub history: History,
    /// All transactions with lower ids have ended, and what they wrote has been seen.
    pub settled: i64,
}

/// A database and its standbys share a history until one of them is promoted: from then on it has one of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// PostgreSQL's identifier of the database cluster.
    pub system: i64,
    /// The timeline on which the newest summary was written, which grows with every promotion. 0 where this cluster has written
    /// none.
    pub timeline: i64,
}

impl History {
    /// Whether this is what a copy shows that has not replayed the last promotion yet, on a server that follows `newest`.
    #[must_use]
    pub fn is_older_than(self, newest: Self) -> bool {
        self.system == newest.system && self.timeline < newest.timeline
    }
}

impl Mark {
    /// Whether the changes since this mark are those that `history` shows from `settled` on.
    #[must_use]
    pub fn continues_in(self, history: History) -> bool {
        let saw_nothing = self.history.timeline == 0 && self.settled <= NOTHING;
        self.history == history || (saw_nothing && self.history.system == history.system)
    }

    /// The mark of a client at `self` that has now been sent everything up to `read`. A server that is behind does not move a
    /// client back.
    #[must_use]
    pub fn advanced_to(self, read: Self) -> Self {
        if self.history == read.history && self.settled > read.settled { self } else { read }
    }
}

/// The text is not that of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not the id of an event of this stream")]
pub struct NotAMark;

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { history: History { system, timeline }, settled } = self;
        write!(f, "{system}.{timeline}.{settled}")
    }
}

impl FromStr for Mark {
    type Err = NotAMark;

    fn from_str(text: &str) -> Result<Self, NotAMark> {
        let mut parts = text.splitn(3, '.');
        let mut next = || parts.next().ok_or(NotAMark)?.parse().map_err(|_| NotAMark);
        Ok(Self { history: History { system: next()?, timeline: next()? }, settled: next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(timeline: i64, settled: i64) -> Mark {
        Mark { history: History { system: -7_711, timeline }, settled }
    }

    #[test]
    fn a_mark_is_read_back_from_its_text() {
        let mark = mark(2, 4_711);
        assert_eq!(mark.to_string().parse(), Ok(mark));
        for text in ["", "1", "1.2", "1.2.", "1.2.x", "1.2.3.4", "1.2.99999999999999999999", " 1.2.3"] {
            assert_eq!(text.parse::<Mark>(), Err(NotAMark), "{text}");
        }
    }

    #[test]
    fn a_mark_counts_in_its_own_history_and_in_any_of_its_cluster_where_nothing_was_seen() {
        assert!(mark(1, 700).continues_in(mark(1, 3).history));
        assert!(!mark(1, 700).continues_in(mark(2, 3).history));
        assert!(!mark(2, 700).continues_in(mark(1, 3).history));
        assert!(mark(0, NOTHING).continues_in(mark(3, 3).history));
        assert!(!mark(1, NOTHING).continues_in(mark(2, 3).history), "what was sent since may be lost");
        let other = History { system: 1, timeline: 1 };
        assert!(!mark(0, NOTHING).continues_in(other));
    }

    #[test]
    fn a_server_that_is_behind_moves_no_client_back() {
        assert_eq!(mark(1, 700).advanced_to(mark(1, 650)), mark(1, 700));
        assert_eq!(mark(1, 700).advanced_to(mark(1, 750)), mark(1, 750));
        assert_eq!(mark(1, 700).advanced_to(mark(2, 650)), mark(2, 650));
    }
}
