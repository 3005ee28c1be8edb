//! How an order is laid out in its row, and read back from it.

use chrono::{DateTime, Utc};
use diesel::{Queryable, Selectable};
use serde::{Deserialize, Serialize};
use shared_events::UnknownOrderStatus;
use uuid::Uuid;

use super::schema::orders;
use crate::domain::{
    AmountError, Cents, CorruptOrder, CustomerId, LineTotalTooLarge, LinesError, Order, OrderLine,
    OrderLines, Quantity, QuantityError, Sku, StoredOrder, TextError,
};

/// A row of `orders`.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = orders, check_for_backend(diesel::pg::Pg))]
pub(super) struct OrderRow {
    order_id: Uuid,
    customer_id: String,
    items: serde_json::Value,
    total_cents: i64,
    status: String,
    version: i32,
    placed_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// One element of the column `items`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ItemColumn {
    sku: String,
    quantity: i32,
    price_cents: i64,
}

/// A row that is not an order: somebody else has written to the table.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowError {
    #[error("a text of a stored order is invalid")]
    Text(#[from] TextError),
    #[error("the items of a stored order are not of the expected form")]
    Items(#[from] serde_json::Error),
    #[error("a quantity of a stored order is invalid")]
    Quantity(#[from] QuantityError),
    #[error("a price of a stored order is invalid")]
    Price(#[from] AmountError),
    #[error("an item of a stored order is invalid")]
    Line(#[from] LineTotalTooLarge),
    #[error("the items of a stored order are invalid")]
    Lines(#[from] LinesError),
    #[error("the status of a stored order is invalid")]
    Status(#[from] UnknownOrderStatus),
    #[error("a stored order contradicts itself")]
    Corrupt(#[from] CorruptOrder),
}

impl OrderRow {
    pub(super) fn order_id(&self) -> Uuid {
        self.order_id
    }
}

impl From<&OrderLine> for ItemColumn {
    fn from(line: &OrderLine) -> Self {
        Self {
            sku: line.sku().as_str().to_owned(),
            quantity: line.quantity().get(),
            price_cents: line.price().get(),
        }
    }
}

impl TryFrom<ItemColumn> for OrderLine {
    type Error = RowError;

    fn try_from(item: ItemColumn) -> Result<Self, RowError> {
        let quantity = Quantity::new(item.quantity.into())?;
        let (sku, price) = (Sku::from_stored(item.sku)?, Cents::from_stored(item.price_cents)?);
        Ok(Self::from_stored(sku, quantity, price)?)
    }
}

impl TryFrom<OrderRow> for Order {
    type Error = RowError;

    fn try_from(row: OrderRow) -> Result<Self, RowError> {
        let items: Vec<ItemColumn> = serde_json::from_value(row.items)?;
        let lines: Vec<_> = items.into_iter().map(OrderLine::try_from).collect::<Result<_, _>>()?;
        Ok(Self::restore(StoredOrder {
            id: row.order_id,
            customer: CustomerId::from_stored(row.customer_id)?,
            lines: OrderLines::from_stored(lines)?,
            total_cents: row.total_cents,
            status: row.status.parse()?,
            version: row.version,
            placed_at: row.placed_at,
            updated_at: row.updated_at,
        })?)
    }
}
