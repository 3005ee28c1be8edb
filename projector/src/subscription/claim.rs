//! The first step of each batch: lock the subscription, and read the events after its checkpoint.

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use super::due;
use super::store::{self, Locked};
use crate::event_log::{self, LogRead, ReadLimits};

/// What a claim found.
#[derive(Debug)]
pub(super) enum Claimed {
    /// Another worker has locked the subscription, or it is paused, lost or not due.
    Nothing,
    /// Events after the checkpoint are missing for good. The subscription has been marked as lost.
    Lost {
        /// Which events.
        reason: String,
    },
    /// The events after the checkpoint, which may be none.
    Events {
        /// The subscription, with the checkpoint after which they were read.
        locked: Locked,
        /// The events.
        read: LogRead,
    },
}

/// Locks the subscription until the transaction ends, and reads its next events.
pub(super) async fn claim(
    connection: &mut AsyncPgConnection,
    name: &str,
    limits: ReadLimits,
) -> QueryResult<Claimed> {
    match store::lock_one(connection, name).await? {
        Some(locked) => read_next(connection, locked, limits).await,
        None => Ok(Claimed::Nothing),
    }
}

/// Reads the next events of a subscription that is locked.
pub(super) async fn read_next(
    connection: &mut AsyncPgConnection,
    locked: Locked,
    limits: ReadLimits,
) -> QueryResult<Claimed> {
    let read = event_log::read(connection, locked.checkpoint, limits).await?;
    let Some(reason) = why_lost(&locked, &read) else { return Ok(Claimed::Events { locked, read }) };
    due::mark_lost(connection, &locked.name, &reason).await?;
    Ok(Claimed::Lost { reason })
}

/// Why the subscription cannot go on after its checkpoint; none if it can. `read` began at the checkpoint or before it.
pub(crate) fn why_lost(locked: &Locked, read: &LogRead) -> Option<String> {
    let Locked { checkpoint, allocated, .. } = *locked;
    if read.has_lost(checkpoint) {
        return Some(if read.missing_up_to == i64::MAX {
            format!("events after position {checkpoint} are missing: the event log was switched off")
        } else {
            format!(
                "events after position {checkpoint}, up to {}, may be missing in the log",
                read.missing_up_to
            )
        });
    }
    // A position that was never allocated is from another database, or from before a failover or a restore. Waiting
    // for it would skip all events up to it.
    let is_from_elsewhere = checkpoint > allocated && checkpoint > read.missing_up_to;
    is_from_elsewhere.then(|| {
        format!("the checkpoint {checkpoint} is beyond {allocated}, the newest position of this database")
    })
}
