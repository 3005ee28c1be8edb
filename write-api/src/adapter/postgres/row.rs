//! Converts between orders and their rows.

use chrono::{DateTime, Utc};
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::pg::{Pg, PgValue};
use diesel::sql_types::Jsonb;
use diesel::{Queryable, Selectable};
use serde::{Deserialize, Serialize};
use service_kit::stored_time::StoredTime;
use shared_events::UnknownOrderStatus;
use uuid::Uuid;

use super::schema::orders;
use crate::domain::{
    AmountError, CancelReason, Carrier, Cents, CorruptOrder, Currency, CurrencyError, CustomerId,
    LineTotalTooLarge, LinesError, Order, OrderLine, OrderLines, Quantity, QuantityError, Shipment, Sku,
    StepFacts, StoredOrder, TextError, TrackingNumber,
};

/// A row of `orders`. Every value that a column can hold can be read: otherwise one invalid row would fail the
/// statement for all rows. Converting the row into an [`Order`] reports its errors.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = orders, check_for_backend(Pg))]
pub(super) struct OrderRow {
    order_id: Uuid,
    customer_id: String,
    items: JsonText,
    total_cents: i64,
    status: String,
    version: i32,
    placed_at: StoredTime,
    updated_at: StoredTime,
    currency: Option<String>,
    carrier: Option<String>,
    tracking_number: Option<String>,
    cancel_reason: Option<String>,
    paid_at: Option<StoredTime>,
    shipped_at: Option<StoredTime>,
    delivered_at: Option<StoredTime>,
    cancelled_at: Option<StoredTime>,
}

/// The columns of an [`OrderRow`], in the order of its fields.
pub(super) type OrderColumns = orders::SqlType;

/// Any `jsonb` value, as text: PostgreSQL allows numbers and nesting that serde cannot parse.
#[derive(Debug, FromSqlRow)]
pub(super) struct JsonText(String);

impl FromSql<Jsonb, Pg> for JsonText {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        // The first byte is the version of the binary format.
        match value.as_bytes() {
            [1, text @ ..] => Ok(Self(std::str::from_utf8(text)?.to_owned())),
            _ => Err("unknown version of jsonb".into()),
        }
    }
}

/// An element of the column `items`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ItemColumn {
    sku: String,
    quantity: i32,
    price_cents: i64,
}

/// Why a row is not a valid order: another program has written to the table.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowError {
    #[error("a text of a stored order is invalid")]
    Text(#[from] TextError),
    #[error("the currency of a stored order is invalid")]
    Currency(#[from] CurrencyError),
    #[error("the items of a stored order do not have the expected structure")]
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
    #[error("a time of a stored order is out of range")]
    Time,
    #[error("a stored order contradicts itself")]
    Corrupt(#[from] CorruptOrder),
}

/// A row of `orders` with the ids of the attempts that wrote its latest versions.
#[derive(Debug, Queryable)]
pub(super) struct RowWithAttempts {
    pub(super) order: OrderRow,
    pub(super) write_attempts: Option<Vec<Option<i64>>>,
}

impl OrderRow {
    pub(super) fn version(&self) -> i32 {
        self.version
    }

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
        let items: Vec<ItemColumn> = serde_json::from_str(&row.items.0)?;
        let lines: Vec<_> = items.into_iter().map(OrderLine::try_from).collect::<Result<_, _>>()?;
        let shipment = Shipment {
            carrier: row.carrier.map(Carrier::from_stored).transpose()?,
            tracking_number: row.tracking_number.map(TrackingNumber::from_stored).transpose()?,
        };
        let steps = StepFacts {
            paid_at: row.paid_at.map(exact).transpose()?,
            shipped_at: row.shipped_at.map(exact).transpose()?,
            shipment,
            delivered_at: row.delivered_at.map(exact).transpose()?,
            cancelled_at: row.cancelled_at.map(exact).transpose()?,
            cancel_reason: row.cancel_reason.map(CancelReason::from_stored).transpose()?,
        };
        Ok(Self::restore(StoredOrder {
            id: row.order_id,
            customer: CustomerId::from_stored(row.customer_id)?,
            lines: OrderLines::from_stored(lines)?,
            currency: row.currency.as_deref().map(Currency::from_stored).transpose()?,
            total_cents: row.total_cents,
            status: row.status.parse()?,
            version: row.version,
            placed_at: exact(row.placed_at)?,
            updated_at: exact(row.updated_at)?,
            steps,
        })?)
    }
}

fn exact(time: StoredTime) -> Result<DateTime<Utc>, RowError> {
    time.exact().ok_or(RowError::Time)
}
