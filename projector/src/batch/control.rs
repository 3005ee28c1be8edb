//! Controls: valid orders as large as the refused ones. If PostgreSQL accepts a control, the refused events are at
//! fault, not the database.

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

use super::mask::{mask, masked, text_bytes};
use super::runner::Mode;
use super::{BatchError, BatchRunner};

/// What a control copies from refused events: the lengths of their longest texts.
///
/// A full disk accepts a short row after it has refused a long one. So if the cause of an error is unknown, an event is
/// at fault only if a row of the same size is accepted. After a constraint violation the control stays short: a long
/// one could violate the same constraint.
#[derive(Default)]
pub(super) struct Refused {
    customer_id: String,
    last_item_sku: String,
    change: Option<OrderChange>,
    /// Order id and version of the first one, for the log.
    first: Option<(Uuid, i32)>,
}

/// A refused control rolls back each batch until an operator acts.
static CONTROL_REFUSED: OncePerSecond = OncePerSecond::new();

impl Refused {
    /// `event` was refused with this error.
    pub(super) fn add(&mut self, event: &OrderEvent, error: &BatchError) {
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

    /// Whether an event was refused with an error that may be about the database.
    pub(super) fn is_any_unexplained(&self) -> bool {
        self.change.is_some()
    }

    /// An order placed now by a customer that does not exist, with an id that no order has.
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

/// More orders than fit into one index page with a UUID in each entry, so that they need new pages.
const ORDERS_THAT_NEED_PAGES: RangeInclusive<u16> = 1..=300;

/// A successful check is valid for this long. Each check costs about as much as a batch.
const FREE_SPACE_VALID_FOR: Duration = Duration::from_secs(1);

/// When the tables and their indexes last grew. On a full disk only orders that need a new page fail.
#[derive(Default)]
pub(super) struct FreeSpace(Mutex<Option<Instant>>);

impl FreeSpace {
    fn is_proven(&self) -> bool {
        let proven_at = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        proven_at.is_some_and(|at| at.elapsed() < FREE_SPACE_VALID_FOR)
    }

    fn record_proof(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// Short orders, with ids that no order and no control of another worker has.
fn orders_that_need_pages() -> Vec<OrderEvent> {
    let nanos = u64::try_from(Utc::now().timestamp_nanos_opt().unwrap_or_default()).unwrap_or_default();
    let order = |number: u16| {
        let mut event = Refused::default().control();
        event.order.order_id = Uuid::from_u64_pair(u64::MAX, nanos.wrapping_add(number.into()));
        event.order.total_cents = number.into();
        event
    };
    ORDERS_THAT_NEED_PAGES.map(order).collect()
}

impl BatchRunner {
    /// Proves that the `refused` events are at fault.
    pub(super) async fn check_with_controls(
        &self,
        connection: &mut AsyncPgConnection,
        refused: Refused,
        mode: Mode,
    ) -> Result<(), BatchError> {
        if refused.is_any_unexplained() && !self.free_space.is_proven() {
            let orders = orders_that_need_pages();
            match self.apply_control(connection, &orders.iter().collect::<Vec<_>>(), mode).await {
                Ok(()) => self.free_space.record_proof(),
                // A constraint across orders, such as one order per customer. It proves nothing about free space.
                Err(error) if is_kind_known(&error) => {}
                Err(error) => {
                    log_refused_control(&refused, "hundreds of orders that need new pages", &error);
                    return Err(error);
                }
            }
        }
        let first = Refused { first: refused.first, ..Refused::default() };
        let tried = self.apply_control(connection, &[&refused.control()], mode).await;
        tried.inspect_err(|error| log_refused_control(&first, "an order with texts as long", error))
    }

    /// Applies `control`, and rolls it back. Success proves that the connection, the tables and the privileges work.
    pub(super) async fn apply_control(
        &self,
        connection: &mut AsyncPgConnection,
        control: &[&OrderEvent],
        mode: Mode,
    ) -> Result<(), BatchError> {
        let tried = connection
            .transaction::<(), _, _>(async |savepoint| {
                self.apply(savepoint, control, mode).await?;
                Err(BatchError::Database(DieselError::RollbackTransaction))
            })
            .await;
        match tried {
            Ok(()) | Err(BatchError::Database(DieselError::RollbackTransaction)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn log_refused_control(refused: &Refused, control: &'static str, error: &BatchError) {
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

/// Whether the kind rules out causes such as a full disk or a missing privilege.
fn is_kind_known(error: &BatchError) -> bool {
    use DatabaseErrorKind::{
        CheckViolation, ExclusionViolation, ForeignKeyViolation, NotNullViolation, RestrictViolation,
        UniqueViolation,
    };
    matches!(
        error,
        BatchError::Projection {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn error(kind: DatabaseErrorKind) -> BatchError {
        let source = DieselError::DatabaseError(kind, Box::new("no".to_owned()));
        BatchError::Projection { projection: "p", took: Duration::ZERO, source }
    }

    fn event(customer_id: &str, sku: &str) -> OrderEvent {
        let mut event = Refused::default().control();
        event.order.customer_id = customer_id.to_owned();
        event.order.last_item_sku = sku.to_owned();
        event
    }

    #[test]
    fn the_control_is_as_long_as_the_longest_refused_text_without_its_content() {
        let mut refused = Refused::default();
        refused.add(&event("aé€😀\0", "s"), &error(DatabaseErrorKind::Unknown));
        refused.add(&event("a", "sku"), &error(DatabaseErrorKind::Unknown));
        let control = refused.control();
        assert_eq!(control.order.customer_id, "cé€𝄞c");
        assert_eq!(control.order.last_item_sku, "ccc");
    }

    #[test]
    fn a_constraint_violation_does_not_make_the_control_longer() {
        let mut refused = Refused::default();
        refused.add(&event(&"a".repeat(500), "s"), &error(DatabaseErrorKind::CheckViolation));
        assert_eq!(refused.control().order.customer_id, "control");
    }
}
