//! Applying a claimed batch: all at once, or by halves to find the events that PostgreSQL refuses.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

use chrono::Utc;
use diesel::result::Error as DieselError;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use runtime::telemetry::chain;
use shared_events::{OrderChange, OrderEvent, OrderItem, OrderState, OrderStatus};
use uuid::Uuid;

use super::{Drain, DrainError};
use crate::blame::{Blame, blame};

/// How a claimed batch is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Approach {
    /// All events in one go: the usual way.
    Together,
    /// In halves, quarters and so on of what is refused, until the events at fault are alone and the others are applied.
    Bisecting,
}

impl Drain {
    /// Applies `events`, and tells by position which were refused and why. Only bisecting finds any.
    pub(super) async fn apply_all(
        &self,
        connection: &mut AsyncPgConnection,
        events: &[OrderEvent],
        approach: Approach,
    ) -> Result<BTreeMap<usize, String>, DrainError> {
        match approach {
            _ if events.is_empty() => Ok(BTreeMap::new()),
            Approach::Together => self.apply(connection, events).await.map(|()| BTreeMap::new()),
            Approach::Bisecting => self.bisect(connection, events).await,
        }
    }

    /// Whether it is worth looking for the event that caused `error`.
    pub(super) fn may_be_an_events_fault(&self, error: &DrainError) -> bool {
        self.blame(error) != Blame::Database
    }

    fn blame(&self, error: &DrainError) -> Blame {
        match error {
            DrainError::Projection { source, took, .. } => {
                blame(source, *took, self.database.shortest_timeout())
            }
            _ => Blame::Database,
        }
    }

    /// Each part in a savepoint of its own: one that is refused takes only itself back.
    async fn bisect(
        &self,
        connection: &mut AsyncPgConnection,
        events: &[OrderEvent],
    ) -> Result<BTreeMap<usize, String>, DrainError> {
        let mut refused = BTreeMap::new();
        let mut parts: Vec<_> = std::iter::once(0..events.len()).collect();
        while let Some(part) = parts.pop() {
            let some = events.get(part.clone()).unwrap_or_default();
            let applied = connection.transaction(async |savepoint| self.apply(savepoint, some).await).await;
            let Err(error) = applied else { continue };
            if self.blame(&error) == Blame::Database {
                return Err(error);
            }
            if let Some((left, right)) = halves(&part) {
                parts.extend([right, left]);
                continue;
            }
            if self.apply_control(connection).await.is_err() {
                return Err(error);
            }
            refused.insert(part.start, reason(&error));
        }
        Ok(refused)
    }

    async fn apply(
        &self,
        connection: &mut AsyncPgConnection,
        events: &[OrderEvent],
    ) -> Result<(), DrainError> {
        for projection in &self.projections {
            let start = Instant::now();
            projection.apply(connection, events).await.map_err(|source| DrainError::Projection {
                projection: projection.name(),
                took: start.elapsed(),
                source,
            })?;
        }
        Ok(())
    }

    /// Applies an event at which nothing can be wrong, and takes it back. If that works, then so do the connection, the
    /// tables and the privileges, and what an event was refused for is its own fault.
    async fn apply_control(&self, connection: &mut AsyncPgConnection) -> Result<(), DrainError> {
        let control = control();
        let tried = connection
            .transaction::<(), _, _>(async |savepoint| {
                self.apply(savepoint, std::slice::from_ref(&control)).await?;
                Err(DrainError::Database(DieselError::RollbackTransaction))
            })
            .await;
        match tried {
            Ok(()) | Err(DrainError::Database(DieselError::RollbackTransaction)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn halves(part: &Range<usize>) -> Option<(Range<usize>, Range<usize>)> {
    let middle = part.start + part.len() / 2;
    (part.len() > 1).then_some((part.start..middle, middle..part.end))
}

fn reason(error: &DrainError) -> String {
    match error {
        DrainError::Projection { projection, source, .. } => format!("{projection}: {}", chain(source)),
        other => chain(other),
    }
}

/// An order of nobody that is placed now, under an id that no order has.
fn control() -> OrderEvent {
    let item = OrderItem { sku: "control".to_owned(), quantity: 1, price_cents: 1 };
    let order = OrderState {
        order_id: Uuid::max(),
        customer_id: "control".to_owned(),
        status: OrderStatus::Placed,
        version: 1,
        total_cents: 1,
        item_count: 1,
        last_item_sku: item.sku.clone(),
        placed_at: Utc::now(),
    };
    let occurred_at = order.placed_at;
    OrderEvent::new(order, OrderChange::Placed { items: vec![item] }, occurred_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_split_until_one_event_is_left() {
        assert_eq!(halves(&(0..5)), Some((0..2, 2..5)));
        assert_eq!(halves(&(3..5)), Some((3..4, 4..5)));
        assert_eq!(halves(&(4..5)), None);
    }
}
