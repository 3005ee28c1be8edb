//! What becomes of claimed events that were not simply applied.

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use super::Source;
use super::ready::LockedEvent;
use crate::outbox::ClaimedEvent;
use crate::parked::Parked;
use crate::waiting::SetAside;
use crate::{parked, waiting};

/// Writes down what happened to the events of a batch, in its transaction.
pub(super) async fn settle(
    connection: &mut AsyncPgConnection,
    source: Source,
    applied: &[ClaimedEvent],
    parked: &[Parked],
    locked: &[LockedEvent],
) -> QueryResult<()> {
    let parkings: Vec<_> = parked.iter().map(Parked::parking).collect();
    let applied_ids = || applied.iter().map(|event| event.id);
    match source {
        Source::Outbox => {
            if !parkings.is_empty() {
                parked::park(connection, &parkings).await?;
            }
            if !locked.is_empty() {
                let locked: Vec<_> = locked
                    .iter()
                    .map(|(event, decoded)| SetAside {
                        event,
                        order_id: decoded.order.order_id,
                        version: decoded.order.version,
                    })
                    .collect();
                waiting::set_aside(connection, &locked).await?;
            }
        }
        Source::Parked => {
            let applied: Vec<_> = applied_ids().collect();
            parked::settle(connection, &applied, &parkings).await?;
            if !locked.is_empty() {
                let locked: Vec<_> = locked.iter().map(|(event, _)| event.id).collect();
                parked::postpone(connection, &locked).await?;
            }
        }
        // Those that are still locked stay where they are.
        Source::Waiting => {
            let gone: Vec<_> = applied_ids().chain(parked.iter().map(Parked::id)).collect();
            if !gone.is_empty() {
                waiting::remove(connection, &gone).await?;
            }
            if !parkings.is_empty() {
                parked::park(connection, &parkings).await?;
            }
        }
    }
    Ok(())
}
