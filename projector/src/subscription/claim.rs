//! The first step of each batch: lock the subscription, and read the events after its checkpoint.

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use super::store;
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
        /// Where they were read.
        checkpoint: i64,
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
    let Some(locked) = store::lock(connection, name).await? else { return Ok(Claimed::Nothing) };
    let checkpoint = locked.checkpoint;
    let read = event_log::read(connection, checkpoint, limits).await?;
    let Some(reason) = why_lost(locked, &read) else { return Ok(Claimed::Events { checkpoint, read }) };
    store::mark_lost(connection, name, &reason).await?;
    Ok(Claimed::Lost { reason })
}

fn why_lost(locked: store::Locked, read: &LogRead) -> Option<String> {
    let store::Locked { checkpoint, allocated } = locked;
    if read.has_lost(checkpoint) {
        return Some(if read.missing_up_to == i64::MAX {
            format!("events after position {checkpoint} are missing: the event log is switched off")
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
