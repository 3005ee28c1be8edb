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
use shared_events::{OrderChange, OrderEvent, OrderFacts, OrderItem, OrderState, OrderStatus};
use uuid::Uuid;

use super::BatchError;
use super::applier::{Applier, Mode};
use super::mask::{mask, mask_items};
use crate::event_fields::EventFields;

/// What is needed of refused events to make controls as large as the largest of them.
///
/// A full disk accepts a short row after it has refused a long one. So if the cause of an error is unknown, an event is
/// at fault only if a row of the same size is accepted. After a constraint violation the control stays short: a long
/// one could violate the same constraint.
#[derive(Default)]
pub(super) struct Refused {
    customer_id: Option<String>,
    last_item_sku: Option<String>,
    /// The longest text of each fact, and the longest items.
    facts: OrderFacts,
    is_any_unexplained: bool,
}

/// A refused control rolls back each batch until an operator acts.
static CONTROL_REFUSED: OncePerSecond = OncePerSecond::new();

impl Refused {
    /// `event` was refused with this error.
    pub(super) fn add(&mut self, event: &OrderEvent, error: &BatchError) {
        let OrderEvent { order, facts, .. } = event;
        if is_kind_known(error) {
            return;
        }
        self.is_any_unexplained = true;
        keep_longer(&mut self.customer_id, Some(&order.customer_id));
        keep_longer(&mut self.last_item_sku, Some(&order.last_item_sku));
        keep_longer(&mut self.facts.carrier, facts.carrier.as_deref());
        keep_longer(&mut self.facts.tracking_number, facts.tracking_number.as_deref());
        keep_longer(&mut self.facts.cancel_reason, facts.cancel_reason.as_deref());
        if let Some(items) = facts.items.as_deref().map(mask_items)
            && self.facts.items.as_deref().is_none_or(|known| json_bytes(known) < json_bytes(&items))
        {
            self.facts.items = Some(items);
        }
    }

    /// Whether an event was refused with an error that may be about the database.
    pub(super) fn is_any_unexplained(&self) -> bool {
        self.is_any_unexplained
    }

    /// Valid orders of now by a customer that does not exist, with ids that no order has. No order has both a shipment
    /// and a reason for its cancellation, so there are two if both were refused.
    pub(super) fn controls(mut self) -> Vec<OrderEvent> {
        let cancel_reason = self.facts.cancel_reason.take();
        let first = self.control();
        let Some(cancel_reason) = cancel_reason else { return vec![first] };
        let mut second = first.clone();
        second.order.order_id = Uuid::from_u128(u128::MAX - 1);
        second.order.status = OrderStatus::Cancelled;
        second.order.version = 2;
        second.change = OrderChange::Cancelled;
        second.facts = OrderFacts {
            cancel_reason: Some(cancel_reason),
            cancelled_at: Some(second.occurred_at),
            items: second.facts.items,
            currency: second.facts.currency,
            ..OrderFacts::default()
        };
        vec![first, second]
    }

    /// A shipped order if the texts of a shipment were refused; otherwise one that was just placed.
    fn control(self) -> OrderEvent {
        let text = |text: Option<String>| text.unwrap_or_else(|| "control".to_owned());
        let last_item_sku = text(self.last_item_sku);
        let now = Utc::now();
        let plain = || vec![OrderItem { sku: last_item_sku.clone(), quantity: 1, price_cents: 1 }];
        let mut facts = OrderFacts {
            items: Some(self.facts.items.unwrap_or_else(plain)),
            // ISO 4217: no currency.
            currency: Some("XXX".to_owned()),
            ..self.facts
        };
        let is_shipped = facts.carrier.is_some() || facts.tracking_number.is_some();
        let (status, version, change) = if is_shipped {
            (facts.paid_at, facts.shipped_at) = (Some(now), Some(now));
            (OrderStatus::Shipped, 3, OrderChange::Shipped)
        } else {
            (OrderStatus::Placed, 1, OrderChange::Placed)
        };
        let order = OrderState {
            order_id: Uuid::max(),
            customer_id: text(self.customer_id),
            status,
            version,
            total_cents: 1,
            item_count: 1,
            last_item_sku,
            placed_at: now,
        };
        OrderEvent::new(order, facts, change, now)
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

impl Applier {
    /// Proves that the `refused` events are at fault, of which `first` is one.
    pub(super) async fn check_with_controls(
        &self,
        connection: &mut AsyncPgConnection,
        refused: Refused,
        first: &EventFields,
        mode: Mode,
    ) -> Result<(), BatchError> {
        if refused.is_any_unexplained() && !self.free_space.is_proven() {
            let orders = orders_that_need_pages();
            match self.apply_control(connection, &orders.iter().collect::<Vec<_>>(), mode).await {
                Ok(()) => self.free_space.record_proof(),
                // A constraint across orders, such as one order per customer. It proves nothing about free space.
                Err(error) if is_kind_known(&error) => {}
                Err(error) => {
                    log_refused_control(first, "hundreds of orders that need new pages", &error);
                    return Err(error);
                }
            }
        }
        let controls = refused.controls();
        let tried = self.apply_control(connection, &controls.iter().collect::<Vec<_>>(), mode).await;
        tried.inspect_err(|error| log_refused_control(first, "an order with texts as long", error))
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

fn log_refused_control(first: &EventFields, control: &'static str, error: &BatchError) {
    let Some(batches) = CONTROL_REFUSED.count() else { return };
    tracing::error!(
        batches,
        order.id = first.order_id(),
        order.version = first.version(),
        trace_id = first.trace_id(),
        span_id = first.span_id(),
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

/// Keeps the longer of two texts, the other one without its content.
fn keep_longer(known: &mut Option<String>, other: Option<&str>) {
    if let Some(other) = other
        && known.as_ref().is_none_or(|known| known.len() < other.len())
    {
        *known = Some(mask(other));
    }
}

/// The size of items in a row.
fn json_bytes(items: &[OrderItem]) -> usize {
    serde_json::to_string(items).map_or(0, |json| json.len())
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
    fn controls_have_facts_as_long_as_those_of_any_refused_event() {
        let mut refused = Refused::default();
        let item = |sku: &str| OrderItem { sku: sku.to_owned(), quantity: 1, price_cents: 1_234_567 };
        let mut shipped = event("a", "s");
        shipped.facts.carrier = Some("DHL".to_owned());
        shipped.facts.items = Some(vec![item("long sku")]);
        let mut delivered = event("a", "s");
        delivered.facts.tracking_number = Some("42".to_owned());
        delivered.facts.items = Some(vec![item("\"\\"), item("b")]);
        let mut cancelled = event("a", "s");
        cancelled.facts.cancel_reason = Some("reason".to_owned());
        for event in [shipped, delivered.clone(), cancelled] {
            refused.add(&event, &error(DatabaseErrorKind::Unknown));
        }
        let [first, second] = <[OrderEvent; 2]>::try_from(refused.controls()).unwrap();
        assert_eq!((first.order.status, first.facts.carrier.as_deref()), (OrderStatus::Shipped, Some("ccc")));
        assert_eq!(first.facts.tracking_number.as_deref(), Some("cc"));
        let items = |event: &OrderEvent| event.facts.items.clone().unwrap();
        assert_eq!(items(&first), [item("éé"), item("c")]);
        assert_eq!(json_bytes(&items(&first)), json_bytes(&items(&delivered)));
        assert_eq!((second.order.status, second.facts.carrier), (OrderStatus::Cancelled, None));
        assert_eq!(second.facts.cancel_reason.as_deref(), Some("cccccc"));
        assert_ne!(first.order.order_id, second.order.order_id);
    }

    #[test]
    fn a_constraint_violation_does_not_make_the_control_longer() {
        let mut refused = Refused::default();
        refused.add(&event(&"a".repeat(500), "s"), &error(DatabaseErrorKind::CheckViolation));
        assert_eq!(refused.control().order.customer_id, "control");
    }
}
