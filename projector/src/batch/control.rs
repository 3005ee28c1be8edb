//! The proof that events were refused for what they say: an event at which nothing is wrong is accepted after them.

use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use service_kit::overload::OncePerSecond;
use service_kit::telemetry::chain;
use shared_events::{OrderChange, OrderEvent, OrderItem, OrderState, OrderStatus};
use uuid::Uuid;

use super::{Drain, DrainError, Mode};

/// What is kept of refused events, to make a control that is as large as the largest of them.
///
/// A full disk accepts a short row after it has refused a long one, so that an error of unknown kind proves nothing against
/// an event unless a row of the same size is accepted. A constraint has a kind of its own: what it refuses may be the size.
#[derive(Default)]
pub(super) struct Refused {
    customer_id: String,
    last_item_sku: String,
    change: Option<OrderChange>,
    /// The first one, for the log: its order and version.
    first: Option<(Uuid, i32)>,
}

/// A control that is refused rolls back each batch, until somebody acts.
static CONTROL_REFUSED: OncePerSecond = OncePerSecond::new();

impl Refused {
    /// `event` was refused, with this error.
    pub(super) fn add(&mut self, event: &OrderEvent, error: &DrainError) {
        self.first.get_or_insert((event.order.order_id, event.order.version));
        if !is_kind_known(error) {
            keep_longer(&mut self.customer_id, &event.order.customer_id);
            keep_longer(&mut self.last_item_sku, &event.order.last_item_sku);
            let masked = masked(&event.change);
            if self.change.as_ref().is_none_or(|known| text_bytes(known) < text_bytes(&masked)) {
                self.change = Some(masked);
            }
        }
    }

    /// Whether an event was refused for a reason that may be the database's.
    pub(super) fn is_any_unexplained(&self) -> bool {
        self.change.is_some()
    }

    /// An order placed now by a customer that does not exist, under an id that no order has.
    pub(super) fn control(self) -> OrderEvent {
        let text = |text: String| if text.is_empty() { "control".to_owned() } else { text };
        let last_item_sku = text(self.last_item_sku);
        let order = OrderState {
            order_id: Uuid::max(),
            customer_id: text(self.customer_id),
            status: OrderStatus::Placed,
            version: 1,
            total_cents: 1,
            item_count: 1,
            last_item_sku: last_item_sku.clone(),
            placed_at: Utc::now(),
        };
        let occurred_at = order.placed_at;
        let plain = || {
            let items = vec![OrderItem { sku: last_item_sku, quantity: 1, price_cents: 1 }];
            OrderChange::Placed { items }
        };
        OrderEvent::new(order, self.change.unwrap_or_else(plain), occurred_at)
    }
}

/// Orders that need new pages in each index: more than fit into one page, with a UUID in each entry.
const ORDERS_THAT_NEED_ROOM: RangeInclusive<u16> = 1..=300;

/// They are not tried again for this long: each time costs about as much as a batch.
const ROOM_IS_KNOWN_FOR: Duration = Duration::from_secs(1);

/// Whether the tables and their indexes could lately grow. One order may find room where another one does not: on a full disk
/// only those fail that need a new page.
#[derive(Default)]
pub(super) struct Room(Mutex<Option<Instant>>);

impl Room {
    fn is_known(&self) -> bool {
        let found = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.is_some_and(|found| found.elapsed() < ROOM_IS_KNOWN_FOR)
    }

    fn found(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// Plain orders, under ids that no order and no other worker's control has.
fn orders_that_need_room() -> Vec<OrderEvent> {
    let nanos = u64::try_from(Utc::now().timestamp_nanos_opt().unwrap_or_default()).unwrap_or_default();
    let order = |number: u16| {
        let mut event = Refused::default().control();
        event.order.order_id = Uuid::from_u64_pair(u64::MAX, nanos.wrapping_add(number.into()));
        event.order.total_cents = number.into();
        event
    };
    ORDERS_THAT_NEED_ROOM.map(order).collect()
}

impl Drain {
    /// Shows that `refused` events were refused for what they say.
    pub(super) async fn check_with_controls(
        &self,
        connection: &mut AsyncPgConnection,
        refused: Refused,
        mode: Mode,
    ) -> Result<(), DrainError> {
        if refused.is_any_unexplained() && !self.room.is_known() {
            match self.apply_control(connection, &orders_that_need_room(), mode).await {
                Ok(()) => self.room.found(),
                // A constraint on several orders, such as one for each customer, which says nothing about room.
                Err(error) if is_kind_known(&error) => {}
                Err(error) => {
                    log_refused_control(&refused, "hundreds of orders that need room", &error);
                    return Err(error);
                }
            }
        }
        let first = Refused { first: refused.first, ..Refused::default() };
        let tried = self.apply_control(connection, &[refused.control()], mode).await;
        tried.inspect_err(|error| log_refused_control(&first, "an order with texts as long", error))
    }

    /// Applies `control`, and takes it back. If that works, then so do the connection, the tables and the privileges.
    pub(super) async fn apply_control(
        &self,
        connection: &mut AsyncPgConnection,
        control: &[OrderEvent],
        mode: Mode,
    ) -> Result<(), DrainError> {
        let tried = connection
            .transaction::<(), _, _>(async |savepoint| {
                self.apply(savepoint, control, mode).await?;
                Err(DrainError::Database(DieselError::RollbackTransaction))
            })
            .await;
        match tried {
            Ok(()) | Err(DrainError::Database(DieselError::RollbackTransaction)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn log_refused_control(refused: &Refused, control: &'static str, error: &DrainError) {
    let (Some(batches), Some((order_id, version))) = (CONTROL_REFUSED.count(), refused.first) else { return };
    tracing::error!(
        batches,
        %order_id,
        version,
        control,
        error = chain(error),
        "an event was refused, and so was its control; the batch is rolled back and tried again"
    );
}

/// Whether a full disk, a missing privilege and the like cannot have caused it.
fn is_kind_known(error: &DrainError) -> bool {
    use DatabaseErrorKind::{
        CheckViolation, ExclusionViolation, ForeignKeyViolation, NotNullViolation, RestrictViolation,
        UniqueViolation,
    };
    matches!(
        error,
        DrainError::Projection {
            source: DieselError::DatabaseError(
                CheckViolation
                    | ExclusionViolation
                    | ForeignKeyViolation
                    | NotNullViolation
                    | RestrictViolation
                    | UniqueViolation,
                _
            ),
            ..
        }
    )
}

fn keep_longer(known: &mut String, other: &str) {
    if known.len() < other.len() {
        *known = mask(other);
    }
}

/// A text with as many characters and bytes, and nothing of what was said.
fn mask(text: &str) -> String {
    let plain = |character: char| match character.len_utf8() {
        1 => 'c',
        2 => 'é',
        3 => '€',
        _ => '𝄞',
    };
    text.chars().map(plain).collect()
}

fn masked(change: &OrderChange) -> OrderChange {
    let optional = |text: &Option<String>| text.as_deref().map(mask);
    match change {
        OrderChange::Placed { items } => {
            let items = items.iter().map(|item| OrderItem { sku: mask(&item.sku), ..item.clone() });
            OrderChange::Placed { items: items.collect() }
        }
        OrderChange::Shipped { carrier, tracking_number } => {
            OrderChange::Shipped { carrier: optional(carrier), tracking_number: optional(tracking_number) }
        }
        OrderChange::Cancelled { reason } => OrderChange::Cancelled { reason: optional(reason) },
        OrderChange::Paid | OrderChange::Delivered | OrderChange::Republished => change.clone(),
    }
}

fn text_bytes(change: &OrderChange) -> usize {
    let optional = |text: &Option<String>| text.as_deref().map_or(0, str::len);
    match change {
        OrderChange::Placed { items } => items.iter().map(|item| item.sku.len()).sum(),
        OrderChange::Shipped { carrier, tracking_number } => optional(carrier) + optional(tracking_number),
        OrderChange::Cancelled { reason } => optional(reason),
        OrderChange::Paid | OrderChange::Delivered | OrderChange::Republished => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn error(kind: DatabaseErrorKind) -> DrainError {
        let source = DieselError::DatabaseError(kind, Box::new("no".to_owned()));
        DrainError::Projection { projection: "p", took: Duration::ZERO, source }
    }

    fn event(customer_id: &str, sku: &str) -> OrderEvent {
        let mut event = Refused::default().control();
        event.order.customer_id = customer_id.to_owned();
        event.order.last_item_sku = sku.to_owned();
        event
    }

    #[test]
    fn the_control_is_as_long_as_the_longest_text_that_was_refused_and_says_nothing_of_it() {
        let mut refused = Refused::default();
        refused.add(&event("aé€😀\0", "s"), &error(DatabaseErrorKind::Unknown));
        refused.add(&event("a", "sku"), &error(DatabaseErrorKind::Unknown));
        let control = refused.control();
        assert_eq!(control.order.customer_id, "cé€𝄞c");
        assert_eq!(control.order.last_item_sku, "ccc");
    }

    #[test]
    fn what_a_constraint_refuses_does_not_make_the_control_longer() {
        let mut refused = Refused::default();
        refused.add(&event(&"a".repeat(500), "s"), &error(DatabaseErrorKind::CheckViolation));
        assert_eq!(refused.control().order.customer_id, "control");
    }
}
