//! The detail of an order, as read-api shows it.

use std::fmt;

use serde::Deserialize;

use super::{CURRENCY, Item, OrderView};

#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Detail {
    pub(super) order_id: String,
    customer_id: String,
    pub(super) status: String,
    pub(super) version: i32,
    currency: Option<String>,
    total_cents: i64,
    items: Option<Vec<Item>>,
    pub(super) carrier: Option<String>,
    pub(super) tracking_number: Option<String>,
    pub(super) cancel_reason: Option<String>,
    placed_at: String,
    pub(super) paid_at: Option<String>,
    pub(super) shipped_at: Option<String>,
    delivered_at: Option<String>,
    pub(super) cancelled_at: Option<String>,
    pub(super) updated_at: Option<String>,
}

impl Detail {
    /// The expected detail of an order that was placed with these items.
    pub(super) fn placed(order: &OrderView, items: &[Item]) -> Self {
        Self {
            order_id: order.order_id.clone(),
            customer_id: order.customer_id.clone(),
            status: order.status.clone(),
            version: order.version,
            currency: Some(CURRENCY.to_owned()),
            total_cents: order.total_cents,
            items: Some(items.to_vec()),
            carrier: None,
            tracking_number: None,
            cancel_reason: None,
            placed_at: order.placed_at.clone(),
            paid_at: None,
            shipped_at: None,
            delivered_at: None,
            cancelled_at: None,
            updated_at: Some(order.placed_at.clone()),
        }
    }
}

/// One line per field that has a value.
impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items = self.items.iter().flatten();
        let items = items.map(|item| format!("{} × {} at {}", item.quantity, item.sku, item.price_cents));
        let items = items.collect::<Vec<_>>().join(", ");
        write!(f, "  {:<15}  {}", "order_id", self.order_id)?;
        for (field, value) in [
            ("customer_id", Some(&self.customer_id)),
            ("status", Some(&self.status)),
            ("version", Some(&self.version.to_string())),
            ("items", Some(&items)),
            ("total_cents", Some(&self.total_cents.to_string())),
            ("currency", self.currency.as_ref()),
            ("carrier", self.carrier.as_ref()),
            ("tracking_number", self.tracking_number.as_ref()),
            ("cancel_reason", self.cancel_reason.as_ref()),
            ("placed_at", Some(&self.placed_at)),
            ("paid_at", self.paid_at.as_ref()),
            ("shipped_at", self.shipped_at.as_ref()),
            ("delivered_at", self.delivered_at.as_ref()),
            ("cancelled_at", self.cancelled_at.as_ref()),
            ("updated_at", self.updated_at.as_ref()),
        ] {
            if let Some(value) = value {
                write!(f, "\n  {field:<15}  {value}")?;
            }
        }
        Ok(())
    }
}
