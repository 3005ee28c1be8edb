//! The statement that stores orders with their events.

use chrono::{DateTime, Utc};
use diesel::sql_types::{self, Array, BigInt, Integer, Nullable, Text, Timestamptz};
use service_kit::statement;
use service_kit::traces::TraceContext;
use shared_events::OrderEvent;
use uuid::Uuid;

use super::super::row::ItemColumn;
use super::shared_text::SharedText;
use crate::domain::{Order, StepFacts};

/// One order to store: its row and its event's row.
#[derive(Debug)]
pub(super) struct SaveRow {
    pub(super) order_id: Uuid,
    pub(super) version: i32,
    /// Random. By it the resolver recognizes this attempt to store the order.
    pub(super) attempt_id: i64,
    kind: &'static str,
    payload: SharedText,
    /// Of the request, if its trace is recorded.
    traceparent: Option<SharedText>,
    columns: Columns,
}

/// The columns that a write sets.
#[derive(Debug)]
enum Columns {
    New(NewOrder),
    Step(Step),
}

/// The columns of version 1 that never change.
#[derive(Debug)]
struct NewOrder {
    customer_id: SharedText,
    /// JSON.
    items: SharedText,
    currency: Option<SharedText>,
    total_cents: i64,
    placed_at: DateTime<Utc>,
}

/// The columns that change with a step.
#[derive(Debug)]
struct Step {
    status: &'static str,
    updated_at: DateTime<Utc>,
    carrier: Option<SharedText>,
    tracking_number: Option<SharedText>,
    cancel_reason: Option<SharedText>,
    paid_at: Option<DateTime<Utc>>,
    shipped_at: Option<DateTime<Utc>>,
    delivered_at: Option<DateTime<Utc>>,
    cancelled_at: Option<DateTime<Utc>>,
}

/// An order or event that cannot be written as JSON. No value is known to cause it.
#[derive(Debug, thiserror::Error)]
pub(super) enum EncodeError {
    #[error(transparent)]
    Event(#[from] shared_events::EncodeError),
    #[error("the items cannot be encoded")]
    Items(#[from] serde_json::Error),
}

impl SaveRow {
    /// The event belongs to the trace of `context`, if there is one.
    pub(super) fn new(
        order: &Order,
        event: &OrderEvent,
        context: Option<&TraceContext>,
    ) -> Result<Self, EncodeError> {
        let event = event.encode()?;
        let columns = if order.version() == 1 {
            Columns::New(NewOrder::try_from(order)?)
        } else {
            Columns::Step(order.into())
        };
        Ok(Self {
            order_id: order.id(),
            version: order.version(),
            attempt_id: fastrand::i64(..),
            kind: event.kind,
            payload: event.payload.into(),
            traceparent: context.map(|context| context.to_traceparent().into()),
            columns,
        })
    }

    /// About how many bytes the row has, in memory and on the wire.
    pub(super) fn bytes(&self) -> usize {
        let texts = match &self.columns {
            Columns::New(new) => [Some(&new.customer_id), Some(&new.items), new.currency.as_ref()],
            Columns::Step(step) => {
                [step.carrier.as_ref(), step.tracking_number.as_ref(), step.cancel_reason.as_ref()]
            }
        };
        let texts = texts.into_iter().flatten().chain([&self.payload]).chain(&self.traceparent);
        size_of::<Self>() + texts.map(SharedText::bytes).sum::<usize>()
    }
}

impl TryFrom<&Order> for NewOrder {
    type Error = serde_json::Error;

    fn try_from(order: &Order) -> Result<Self, serde_json::Error> {
        let items: Vec<_> = order.lines().as_slice().iter().map(ItemColumn::from).collect();
        Ok(Self {
            customer_id: order.customer().as_str().into(),
            items: serde_json::to_string(&items)?.into(),
            currency: order.currency().map(|currency| currency.as_str().into()),
            total_cents: order.lines().total().get(),
            placed_at: order.placed_at(),
        })
    }
}

impl From<&Order> for Step {
    fn from(order: &Order) -> Self {
        let StepFacts { paid_at, shipped_at: _, shipment, delivered_at, cancelled_at, cancel_reason } =
            order.steps();
        Self {
            status: order.status().as_str(),
            updated_at: order.updated_at(),
            carrier: shipment.carrier.as_ref().map(|carrier| carrier.as_str().into()),
            tracking_number: shipment.tracking_number.as_ref().map(|number| number.as_str().into()),
            cancel_reason: cancel_reason.as_ref().map(|reason| reason.as_str().into()),
            paid_at: *paid_at,
            shipped_at: order.shipped_at_to_store(),
            delivered_at: *delivered_at,
            cancelled_at: *cancelled_at,
        }
    }
}

statement! {
    /// Stores any number of orders, each with its event, in one transaction. It returns the ids of the stored orders.
    /// Each column is one array, so that batches of all sizes share one prepared statement.
    ///
    /// Together with [`BY_KEY_ONLY`](crate::BY_KEY_ONLY) every plan finds orders by index or ctid.
    #[derive(Default)]
    pub(super) struct SaveBatch = "save_batch.sql" -> sql_types::Uuid {
        new_order_id: Vec<Uuid> as Array<sql_types::Uuid>,
        new_attempt_id: Vec<i64> as Array<BigInt>,
        new_kind: Vec<&'static str> as Array<Text>,
        new_payload: Vec<SharedText> as Array<Text>,
        new_traceparent: Vec<Option<SharedText>> as Array<Nullable<Text>>,
        customer_id: Vec<SharedText> as Array<Text>,
        items: Vec<SharedText> as Array<Text>,
        currency: Vec<Option<SharedText>> as Array<Nullable<Text>>,
        total_cents: Vec<i64> as Array<BigInt>,
        placed_at: Vec<DateTime<Utc>> as Array<Timestamptz>,
        step_order_id: Vec<Uuid> as Array<sql_types::Uuid>,
        step_attempt_id: Vec<i64> as Array<BigInt>,
        step_kind: Vec<&'static str> as Array<Text>,
        step_payload: Vec<SharedText> as Array<Text>,
        step_traceparent: Vec<Option<SharedText>> as Array<Nullable<Text>>,
        version: Vec<i32> as Array<Integer>,
        status: Vec<&'static str> as Array<Text>,
        updated_at: Vec<DateTime<Utc>> as Array<Timestamptz>,
        carrier: Vec<Option<SharedText>> as Array<Nullable<Text>>,
        tracking_number: Vec<Option<SharedText>> as Array<Nullable<Text>>,
        cancel_reason: Vec<Option<SharedText>> as Array<Nullable<Text>>,
        paid_at: Vec<Option<DateTime<Utc>>> as Array<Nullable<Timestamptz>>,
        shipped_at: Vec<Option<DateTime<Utc>>> as Array<Nullable<Timestamptz>>,
        delivered_at: Vec<Option<DateTime<Utc>>> as Array<Nullable<Timestamptz>>,
        cancelled_at: Vec<Option<DateTime<Utc>>> as Array<Nullable<Timestamptz>>,
    }
}

impl SaveBatch {
    /// No two rows may belong to the same order.
    pub(super) fn new<'a>(rows: impl IntoIterator<Item = &'a SaveRow>) -> Self {
        let mut rows: Vec<_> = rows.into_iter().collect();
        rows.sort_unstable_by_key(|row| row.order_id);
        let mut batch = Self::default();
        for row in rows {
            match &row.columns {
                Columns::New(new) => batch.push_new(row, new),
                Columns::Step(step) => batch.push_step(row, step),
            }
        }
        batch
    }

    fn push_new(&mut self, row: &SaveRow, new: &NewOrder) {
        self.new_order_id.push(row.order_id);
        self.new_attempt_id.push(row.attempt_id);
        self.new_kind.push(row.kind);
        self.new_payload.push(row.payload.clone());
        self.new_traceparent.push(row.traceparent.clone());
        self.customer_id.push(new.customer_id.clone());
        self.items.push(new.items.clone());
        self.currency.push(new.currency.clone());
        self.total_cents.push(new.total_cents);
        self.placed_at.push(new.placed_at);
    }

    fn push_step(&mut self, row: &SaveRow, step: &Step) {
        self.step_order_id.push(row.order_id);
        self.step_attempt_id.push(row.attempt_id);
        self.step_kind.push(row.kind);
        self.step_payload.push(row.payload.clone());
        self.step_traceparent.push(row.traceparent.clone());
        self.version.push(row.version);
        self.status.push(step.status);
        self.updated_at.push(step.updated_at);
        self.carrier.push(step.carrier.clone());
        self.tracking_number.push(step.tracking_number.clone());
        self.cancel_reason.push(step.cancel_reason.clone());
        self.paid_at.push(step.paid_at);
        self.shipped_at.push(step.shipped_at);
        self.delivered_at.push(step.delivered_at);
        self.cancelled_at.push(step.cancelled_at);
    }
}
