//! The last step of a batch: parks refused events, sets aside locked ones, removes what is done.

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use super::Source;
use super::decode::DecodedEvent;
use crate::outbox::ClaimedEvent;
use crate::parked::{self, DeadLetter};
use crate::waiting::{self, NewWaitingEvent};

/// Records what happened to the events of a batch, in its transaction. The claim has already deleted events of the
/// outbox.
pub(super) async fn finish(
    connection: &mut AsyncPgConnection,
    source: Source,
    applied: &[ClaimedEvent],
    parked: &[DeadLetter],
    locked: &[DecodedEvent],
) -> QueryResult<()> {
    match source {
        Source::Outbox => {
            if !parked.is_empty() {
                parked::park(connection, parked).await?;
            }
            if !locked.is_empty() {
                let locked: Vec<_> = locked.iter().map(as_waiting).collect();
                waiting::set_aside(connection, &locked).await?;
            }
        }
        Source::Parked => {
            let applied: Vec<_> = applied.iter().map(|event| event.id).collect();
            if !applied.is_empty() {
                parked::remove(connection, &applied).await?;
            }
            if !parked.is_empty() {
                parked::park_again(connection, parked).await?;
            }
            if !locked.is_empty() {
                let locked: Vec<_> = locked.iter().map(|decoded| decoded.claimed.id).collect();
                parked::postpone(connection, &locked).await?;
            }
        }
        // Events that are still locked stay in `waiting_events`.
        Source::Waiting => {
            let applied = applied.iter().map(|event| event.id);
            let gone: Vec<_> = applied.chain(parked.iter().map(DeadLetter::id)).collect();
            if !gone.is_empty() {
                waiting::remove(connection, &gone).await?;
            }
            if !parked.is_empty() {
                parked::park(connection, parked).await?;
            }
        }
    }
    Ok(())
}

fn as_waiting(decoded: &DecodedEvent) -> NewWaitingEvent<'_> {
    let order = &decoded.event.order;
    NewWaitingEvent { event: &decoded.claimed, order_id: order.order_id, version: order.version }
}
