//! Everything that is known of one order.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{CurrencyCode, OrderStatus};

/// Everything that is known of one order.
///
/// A fact that is `null` was not given, or is not known: `null` for orders from before this version of the service,
/// until an operator republishes them, and for a moment where an older event of the order is still under way.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OrderDetail {
    /// The order's id.
    pub order_id: Uuid,
    /// The customer who placed the order.
    #[schema(example = "alice")]
    pub customer_id: String,
    /// `placed`, `paid`, `shipped`, `delivered` or `cancelled`.
    #[schema(value_type = String, example = "shipped")]
    pub status: Cow<'static, str>,
    /// The version of the order. It never decreases.
    #[schema(minimum = 1)]
    pub version: i32,
    /// The ISO 4217 code of the currency of all amounts.
    #[schema(value_type = Option<String>, required = true, example = "EUR", min_length = 3, max_length = 3)]
    pub currency: Option<CurrencyCode>,
    /// Sum of price × quantity over all items, in the currency's minor unit (cents).
    #[schema(minimum = 0)]
    pub total_cents: i64,
    /// Number of items (lines) in the order.
    #[schema(minimum = 1)]
    pub item_count: i32,
    /// The SKU of the last item.
    #[schema(example = "POT-IRON")]
    pub last_item_sku: String,
    /// All items, in the sequence of the request that placed the order.
    #[schema(value_type = Option<Vec<OrderItem>>, required = true)]
    pub items: Option<Items>,
    /// The carrier of the shipment.
    #[schema(required = true, example = "DHL")]
    pub carrier: Option<String>,
    /// The carrier's tracking number of the shipment.
    #[schema(required = true, example = "00340434161094015902")]
    pub tracking_number: Option<String>,
    /// Why the order was cancelled: the `reason` of the request.
    #[schema(required = true)]
    pub cancel_reason: Option<String>,
    /// When the order was placed.
    pub placed_at: DateTime<Utc>,
    /// When the order was paid.
    #[schema(required = true)]
    pub paid_at: Option<DateTime<Utc>>,
    /// When the order was shipped.
    #[schema(required = true)]
    pub shipped_at: Option<DateTime<Utc>>,
    /// When the order was delivered.
    #[schema(required = true)]
    pub delivered_at: Option<DateTime<Utc>>,
    /// When the order was cancelled.
    #[schema(required = true)]
    pub cancelled_at: Option<DateTime<Utc>>,
    /// When the order last changed: the time of the step that led to `status`.
    #[schema(required = true)]
    pub updated_at: Option<DateTime<Utc>>,
}

/// One item (line) of an order. It only describes [`Items`] in the OpenAPI document.
#[derive(Debug, ToSchema)]
pub struct OrderItem {
    /// The item's stock keeping unit.
    #[schema(example = "POT-IRON")]
    pub sku: String,
    /// Number of units.
    #[schema(minimum = 1)]
    pub quantity: i32,
    /// Price of one unit, in the currency's minor unit (cents).
    #[schema(minimum = 0)]
    pub price_cents: i64,
}

/// All items of an order as JSON, as the projector stored them.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Items(Box<RawValue>);

impl Items {
    /// `None` unless it is JSON.
    #[must_use]
    pub fn from_json(json: String) -> Option<Self> {
        RawValue::from_string(json).ok().map(Self)
    }
}

impl OrderDetail {
    /// Whether everything that was set once up to this version is known: the items, and the time of each step. Then
    /// this version always looks the same. Otherwise facts may be added without a new version.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let Some(status) = OrderStatus::from_name(&self.status) else { return false };
        // An order that was cancelled as version 3 had been paid.
        let was_paid = match status {
            OrderStatus::Placed => false,
            OrderStatus::Paid | OrderStatus::Shipped | OrderStatus::Delivered => true,
            OrderStatus::Cancelled => self.version > 2,
        };
        let was_shipped = matches!(status, OrderStatus::Shipped | OrderStatus::Delivered);
        let steps = [
            (was_paid, self.paid_at),
            (was_shipped, self.shipped_at),
            (status == OrderStatus::Delivered, self.delivered_at),
            (status == OrderStatus::Cancelled, self.cancelled_at),
            (true, self.updated_at),
        ];
        self.items.is_some() && steps.iter().all(|(happened, time)| !happened || time.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Option<DateTime<Utc>> = Some(DateTime::UNIX_EPOCH);

    /// An order about which everything is known, in a status that it reaches with `version`.
    fn order(status: &'static str, version: i32) -> OrderDetail {
        let (paid, cancelled) =
            (status != "placed" && version != 2 || status == "paid", status == "cancelled");
        OrderDetail {
            order_id: Uuid::nil(),
            customer_id: "alice".to_owned(),
            status: status.into(),
            version,
            currency: None,
            total_cents: 1,
            item_count: 1,
            last_item_sku: "SKU".to_owned(),
            items: Items::from_json("[]".to_owned()),
            carrier: None,
            tracking_number: None,
            cancel_reason: None,
            placed_at: DateTime::UNIX_EPOCH,
            paid_at: TIME.filter(|_| paid),
            shipped_at: TIME.filter(|_| ["shipped", "delivered"].contains(&status)),
            delivered_at: TIME.filter(|_| status == "delivered"),
            cancelled_at: TIME.filter(|_| cancelled),
            updated_at: TIME,
        }
    }

    const STATES: [(&str, i32); 6] =
        [("placed", 1), ("paid", 2), ("shipped", 3), ("delivered", 4), ("cancelled", 2), ("cancelled", 3)];

    #[test]
    fn an_order_is_complete_without_the_details_that_no_request_has_to_give() {
        for (status, version) in STATES {
            assert!(order(status, version).is_complete(), "{status} {version}");
        }
    }

    #[test]
    fn an_order_is_incomplete_without_its_items_or_any_time_that_it_must_have() {
        for (status, version) in STATES {
            let complete = order(status, version);
            let mut incomplete = vec![
                OrderDetail { items: None, ..complete.clone() },
                OrderDetail { updated_at: None, ..complete.clone() },
            ];
            let without = [
                OrderDetail { paid_at: None, ..complete.clone() },
                OrderDetail { shipped_at: None, ..complete.clone() },
                OrderDetail { delivered_at: None, ..complete.clone() },
                OrderDetail { cancelled_at: None, ..complete.clone() },
            ];
            let times = [complete.paid_at, complete.shipped_at, complete.delivered_at, complete.cancelled_at];
            let without = without.into_iter().zip(times).filter_map(|(order, time)| time.map(|_| order));
            incomplete.extend(without);
            for order in incomplete {
                assert!(!order.is_complete(), "{order:?}");
            }
        }
        assert!(!order("lost", 1).is_complete(), "a status of a later version");
    }

    #[test]
    fn items_are_passed_on_as_they_were_stored() {
        let items = r#"[{"sku":"A", "quantity":1,  "price_cents":1}]"#;
        let detail = OrderDetail { items: Items::from_json(items.to_owned()), ..order("placed", 1) };
        assert!(serde_json::to_string(&detail).unwrap().contains(items));
        assert!(Items::from_json("[".to_owned()).is_none());
    }
}
