//! `POST /orders`.

use actix_web::http::header::{ETAG, LOCATION};
use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use runtime::problem::{FieldError, Problem};
use serde::{Deserialize, Serialize};
use shared_events::OrderStatus;
use uuid::Uuid;

use super::json_body::JsonBody;
use super::problems;
use crate::command::{PlaceOrder, PlaceOrderError};
use crate::domain::{Cents, CustomerId, Order, OrderLine, OrderLines, Quantity, Sku};
use crate::port::OrderWriter;

/// The version that placing gives an order.
const PLACED_VERSION: i32 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlaceOrderRequest {
    order_id: Option<Uuid>,
    customer_id: String,
    items: Vec<ItemRequest>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemRequest {
    sku: String,
    quantity: i64,
    price_cents: i64,
}

/// What placing answered, now and whenever the request is repeated: only what never changes about an order.
#[derive(Serialize)]
struct PlacedResponse<'a> {
    order_id: Uuid,
    customer_id: &'a str,
    status: OrderStatus,
    version: i32,
    total_cents: i64,
    item_count: i32,
    placed_at: DateTime<Utc>,
}

pub(super) async fn handle<W: OrderWriter>(
    JsonBody(request): JsonBody<PlaceOrderRequest>,
    writer: web::Data<W>,
) -> Result<HttpResponse, Problem> {
    let command = request.into_command().map_err(problems::invalid_order)?;
    match command.run(writer.get_ref(), Utc::now()).await {
        Ok(placed) => Ok(answer(&placed.order, placed.replayed)),
        Err(PlaceOrderError::IdTaken) => Err(problems::order_id_taken()),
        Err(PlaceOrderError::Write(error)) => Err(problems::of_write(&error)),
    }
}

fn answer(order: &Order, replayed: bool) -> HttpResponse {
    let mut response = HttpResponse::Created();
    response
        .insert_header((LOCATION, format!("/orders/{}", order.id())))
        .insert_header((ETAG, format!("\"{PLACED_VERSION}\"")));
    if replayed {
        response.insert_header(("Idempotent-Replayed", "true"));
    }
    response.json(PlacedResponse {
        order_id: order.id(),
        customer_id: order.customer().as_str(),
        status: OrderStatus::Placed,
        version: PLACED_VERSION,
        total_cents: order.lines().total().get(),
        item_count: order.lines().count(),
        placed_at: order.placed_at(),
    })
}

impl PlaceOrderRequest {
    /// Checks everything and reports all that is wrong, not only the first.
    fn into_command(self) -> Result<PlaceOrder, Vec<FieldError>> {
        let mut errors = Vec::new();
        let customer = keep("/customer_id", CustomerId::new(self.customer_id), &mut errors);
        // An order with a broken item counts as broken there, not also for what the remaining items add up to.
        let given = self.items.len();
        let lines: Vec<_> = self
            .items
            .into_iter()
            .enumerate()
            .filter_map(|(i, item)| item.into_line(i, &mut errors))
            .collect();
        let lines = (lines.len() == given)
            .then(|| keep("/items", OrderLines::new(lines), &mut errors))
            .flatten();
        match (customer, lines) {
            (Some(customer), Some(lines)) if errors.is_empty() => {
                let order_id = self.order_id.unwrap_or_else(Uuid::now_v7);
                Ok(PlaceOrder {
                    order_id,
                    customer,
                    lines,
                })
            }
            _ => Err(errors),
        }
    }
}

impl ItemRequest {
    fn into_line(self, index: usize, errors: &mut Vec<FieldError>) -> Option<OrderLine> {
        let place = |field: &str| format!("/items/{index}{field}");
        let sku = keep(&place("/sku"), Sku::new(self.sku), errors);
        let quantity = keep(&place("/quantity"), Quantity::new(self.quantity), errors);
        let price = keep(&place("/price_cents"), Cents::new(self.price_cents), errors);
        keep(&place(""), OrderLine::new(sku?, quantity?, price?), errors)
    }
}

/// The value, or its error with the place where it was found.
fn keep<T, E: std::fmt::Display>(
    pointer: &str,
    result: Result<T, E>,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    result
        .map_err(|error| errors.push(FieldError::at(pointer, error.to_string())))
        .ok()
}
