//! The statement that stores orders with their events.

use chrono::{DateTime, Utc};
use diesel::sql_types::{self, Array, BigInt, Integer, Nullable, Text, Timestamptz};
use service_kit::statement;
use shared_events::OrderEvent;
use uuid::Uuid;

use super::super::row::ItemColumn;
use super::shared_text::SharedText;
use crate::domain::Order;

/// One order to store: its row and its event's row.
#[derive(Debug)]
pub(super) struct SaveRow {
    pub(super) order_id: Uuid,
    pub(super) version: i32,
    /// Random. By it the resolver recognizes this attempt to store the order.
    pub(super) attempt_id: i64,
    placed_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    customer_id: SharedText,
    /// JSON. `None` after version 1, because items never change.
    items: Option<SharedText>,
    total_cents: i64,
    status: &'static str,
    kind: &'static str,
    payload: SharedText,
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
    pub(super) fn new(order: &Order, event: &OrderEvent) -> Result<Self, EncodeError> {
        let event = event.encode()?;
        let items = || order.lines().as_slice().iter().map(ItemColumn::from).collect::<Vec<_>>();
        let items = (order.version() == 1).then(|| serde_json::to_string(&items())).transpose()?;
        Ok(Self {
            order_id: order.id(),
            version: order.version(),
            attempt_id: fastrand::i64(..),
            placed_at: order.placed_at(),
            updated_at: order.updated_at(),
            customer_id: order.customer().as_str().to_owned().into(),
            items: items.map(SharedText::from),
            total_cents: order.lines().total().get(),
            status: order.status().as_str(),
            kind: event.kind,
            payload: event.payload.into(),
        })
    }

    /// About how many bytes the row has, in memory and on the wire.
    pub(super) fn bytes(&self) -> usize {
        let texts = [Some(&self.customer_id), self.items.as_ref(), Some(&self.payload)];
        size_of::<Self>() + texts.into_iter().flatten().map(SharedText::bytes).sum::<usize>()
    }
}

statement! {
    /// Stores any number of orders, each with its event, in one transaction. It returns the ids of the stored orders.
    /// Each column is one array, so that batches of all sizes share one prepared statement.
    ///
    /// Together with [`BY_KEY_ONLY`](crate::BY_KEY_ONLY) every plan finds orders by index or ctid.
    #[derive(Default)]
    pub(super) struct SaveBatch = "save_batch.sql" -> sql_types::Uuid {
        order_id: Vec<Uuid> as Array<sql_types::Uuid>,
        customer_id: Vec<SharedText> as Array<Text>,
        items: Vec<Option<SharedText>> as Array<Nullable<Text>>,
        total_cents: Vec<i64> as Array<BigInt>,
        status: Vec<&'static str> as Array<Text>,
        version: Vec<i32> as Array<Integer>,
        placed_at: Vec<DateTime<Utc>> as Array<Timestamptz>,
        updated_at: Vec<DateTime<Utc>> as Array<Timestamptz>,
        kind: Vec<&'static str> as Array<Text>,
        payload: Vec<SharedText> as Array<Text>,
        attempt_id: Vec<i64> as Array<BigInt>,
    }
}

impl SaveBatch {
    /// No two rows may belong to the same order.
    pub(super) fn new<'a>(rows: impl IntoIterator<Item = &'a SaveRow>) -> Self {
        let mut rows: Vec<_> = rows.into_iter().collect();
        rows.sort_unstable_by_key(|row| row.order_id);
        let mut batch = Self::default();
        for row in rows {
            batch.order_id.push(row.order_id);
            batch.customer_id.push(row.customer_id.clone());
            batch.items.push(row.items.clone());
            batch.total_cents.push(row.total_cents);
            batch.status.push(row.status);
            batch.version.push(row.version);
            batch.placed_at.push(row.placed_at);
            batch.updated_at.push(row.updated_at);
            batch.kind.push(row.kind);
            batch.payload.push(row.payload.clone());
            batch.attempt_id.push(row.attempt_id);
        }
        batch
    }
}
