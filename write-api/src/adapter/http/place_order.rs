//! `POST /orders`.

use std::fmt;

use actix_web::http::header::{ETAG, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use service_kit::auth::Grant;
use service_kit::problem::{FieldError, Problem};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use uuid::Uuid;

use super::body::{Diagnose, Faults, JsonBody, ObjectReader, StrictObject, WholeNumber};
use super::problems::{self, Identity, PlaceFailure, PlaceProblems};
use super::{ORDERS, audit, idempotency_key};
use crate::command::PlaceOrder;
use crate::domain::{
    Cents, Currency, CustomerId, LinesError, Order, OrderId, OrderLine, OrderLines, Quantity, Sku,
};
use crate::port::OrderWriter;

/// An order to place.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlaceOrderRequest {
    /// The order's identity, chosen by the client: any UUID except nil, max and version 8. A repeated request with the
    /// same id returns the same order. Without it, the service generates an id of version 8: from the customer and the
    /// `Idempotency-Key` if there is one, otherwise from the time. Must not be sent together with an `Idempotency-Key`.
    #[schema(
        value_type = Option<String>,
        format = Uuid,
        pattern = "^(?!(0{8}-0{4}-0{4}-0{4}-0{12}|[fF]{8}-[fF]{4}-[fF]{4}-[fF]{4}-[fF]{12})$)\
            [0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-79a-fA-F][0-9a-fA-F]{3}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
        example = "0193a0c0-5f6e-7c1a-9d7e-2b6f3a1c4d5e"
    )]
    order_id: Option<Uuid>,
    /// The customer. No control characters, no white space at either end, and not `.` or `..`.
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = "^(?!\\.\\.?$)\
            [^\\u0000-\\u0020\\u007F-\\u00A0\\u1680\\u2000-\\u200A\\u2028\\u2029\\u202F\\u205F\\u3000]\
            ([^\\u0000-\\u001F\\u007F-\\u009F]*\
            [^\\u0000-\\u0020\\u007F-\\u00A0\\u1680\\u2000-\\u200A\\u2028\\u2029\\u202F\\u205F\\u3000])?$",
        example = "alice"
    )]
    customer_id: String,
    #[schema(min_items = 1, max_items = 500, value_type = Vec<ItemRequest>)]
    items: Vec<StrictObject<ItemRequest>>,
    #[schema(schema_with = currency)]
    currency: Option<String>,
}

fn currency() -> Schema {
    let codes = Currency::codes().map(Value::from).chain([Value::Null]);
    ObjectBuilder::new()
        .description(Some(
            "The currency of all prices: a code of ISO 4217 in capital letters. A repeated request must have the same \
             one, or none if the first had none.",
        ))
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .enum_values(Some(codes))
        .examples(["EUR"])
        .build()
        .into()
}

/// An item (line) of an order. Price × quantity, and the order's total, are at most 9007199254740991 (2^53 − 1) in the
/// currency's minor unit.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ItemRequest {
    /// Stock keeping unit. No control characters, and no white space at either end.
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = "^[^\\u0000-\\u0020\\u007F-\\u00A0\\u1680\\u2000-\\u200A\\u2028\\u2029\\u202F\\u205F\\u3000]\
            ([^\\u0000-\\u001F\\u007F-\\u009F]*\
            [^\\u0000-\\u0020\\u007F-\\u00A0\\u1680\\u2000-\\u200A\\u2028\\u2029\\u202F\\u205F\\u3000])?$",
        example = "TEA-EARL-GREY"
    )]
    sku: String,
    /// Number of units.
    #[schema(minimum = 1, maximum = 2_147_483_647_i64, example = 2, value_type = i64)]
    quantity: WholeNumber,
    /// Unit price in the currency's minor unit, such as cents.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 450, value_type = i64)]
    price_cents: WholeNumber,
}

/// A placed order: the fields that never change, so a repeated request gets the same response.
#[derive(Serialize, ToSchema)]
pub(super) struct PlacedResponse<'a> {
    order_id: Uuid,
    customer_id: &'a str,
    /// Always `placed`, the status at the time of the first response.
    #[schema(pattern = "^placed$")]
    status: &'static str,
    /// Always 1.
    #[schema(minimum = 1, maximum = 1)]
    version: i32,
    /// Σ price × quantity, in the currency's minor unit.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    total_cents: i64,
    /// Number of items (lines). Quantities are not added up.
    #[schema(minimum = 1, maximum = 500)]
    item_count: i32,
    placed_at: DateTime<Utc>,
}

/// Place an order
///
/// A repeated request with the same identity (`order_id`, or customer and `Idempotency-Key`) and the same content
/// returns the first response again, byte for byte, and places nothing.
#[utoipa::path(
    post, path = ORDERS, tag = "orders", operation_id = "place_order",
    request_body = PlaceOrderRequest,
    params(
        ("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255,
            pattern = r#"^("([ !#-\[\]-~]|\\["\\])+"|[!#-~]([ -~]*[!-~])?)$"#,
            description = "Identifies the order among this customer's orders, in place of `order_id`. Visible ASCII, \
                optionally quoted (RFC 8941 string). Must not be sent together with `order_id`."),
    ),
    responses(
        (status = 201, description = "The order is stored.", body = PlacedResponse, headers(
            ("Location" = String, description = "Path of the order in read-api."),
            ("ETag" = String, description = "`\"1\"`, the version of a new order."),
            ("Idempotent-Replayed" = String, description = "`true` if an earlier request placed the order."),
        )),
        PlaceProblems,
    ),
)]
pub(super) async fn handle<W: OrderWriter>(
    request: HttpRequest,
    _grant: Grant,
    JsonBody(body): JsonBody<PlaceOrderRequest>,
    writer: web::Data<W>,
) -> Result<HttpResponse, Problem> {
    if let Some(order_id) = body.order_id {
        audit::name_order(&request, order_id);
    }
    let key = idempotency_key::from_request(&request)?;
    if body.order_id.is_some() && key.is_some() {
        return Err(problems::two_identities());
    }
    let now = Utc::now();
    let (command, identity) = body
        .into_command(key, now)
        .map_err(|faults| problems::INVALID_BODY.with(problems::INVALID_BODY.when).at(faults))?;
    let order_id = command.order_id;
    audit::name_order(&request, order_id.get());
    let placed = command.run(writer.get_ref(), now).await.map_err(|error| PlaceFailure {
        error,
        identity,
        order_id: order_id.get(),
    })?;
    Ok(response(&placed.order, placed.replayed))
}

fn response(order: &Order, replayed: bool) -> HttpResponse {
    let mut response = HttpResponse::Created();
    response.insert_header((LOCATION, format!("/orders/{}", order.id()))).insert_header((ETAG, "\"1\""));
    if replayed {
        response.insert_header(super::REPLAYED);
    }
    response.json(PlacedResponse {
        order_id: order.id(),
        customer_id: order.customer().as_str(),
        status: "placed",
        version: 1,
        total_cents: order.lines().total().get(),
        item_count: order.lines().count(),
        placed_at: order.placed_at(),
    })
}

impl Diagnose for PlaceOrderRequest {
    fn diagnose(body: &Value, faults: &mut Faults) {
        let known = ["order_id", "customer_id", "items", "currency"];
        let Some(order) = ObjectReader::new(String::new(), body, &known, faults) else { return };
        order.optional("order_id", faults, |id: Option<Uuid>| id.map(OrderId::chosen).transpose());
        order.required("customer_id", faults, CustomerId::new);
        order.optional("currency", faults, |code: Option<String>| {
            code.as_deref().map(Currency::new).transpose()
        });
        for (pointer, item) in order.list("items", OrderLines::LIMIT, faults) {
            let known = ["sku", "quantity", "price_cents"];
            let Some(item) = ObjectReader::new(pointer, item, &known, faults) else { continue };
            item.required("sku", faults, Sku::new);
            item.required("quantity", faults, |WholeNumber(number)| Quantity::new(number));
            item.required("price_cents", faults, |WholeNumber(number)| Cents::new(number));
        }
    }
}

impl PlaceOrderRequest {
    /// The command, or all faults.
    fn into_command(
        self,
        key: Option<String>,
        now: DateTime<Utc>,
    ) -> Result<(PlaceOrder, Identity), Vec<FieldError>> {
        let mut faults = Faults::default();
        let chosen = faults.check_optional("/order_id", self.order_id, OrderId::chosen);
        let customer = faults.check("/customer_id", CustomerId::new(self.customer_id));
        let currency = faults.check_optional("/currency", self.currency.as_deref(), Currency::new);
        // A faulty item is reported by itself. The total of the remaining items is not checked.
        let given = self.items.len();
        let items = self.items.into_iter().take(OrderLines::LIMIT).enumerate();
        let lines: Vec<_> =
            items.filter_map(|(index, StrictObject(item))| item.into_line(index, &mut faults)).collect();
        let lines = if given > OrderLines::LIMIT {
            faults.check("/items", Err(LinesError::TooMany))
        } else if lines.len() == given {
            faults.check("/items", OrderLines::new(lines))
        } else {
            None
        };
        let (customer, lines) = faults.into_result(customer.zip(lines))?;
        let (order_id, identity) = match (chosen, key) {
            (Some(order_id), _) => (order_id, Identity::OrderId),
            (None, Some(key)) => (OrderId::from_key(&customer, &key), Identity::Key),
            (None, None) => (OrderId::from_time(&customer, now, random()), Identity::None),
        };
        Ok((PlaceOrder { order_id, customer, lines, currency }, identity))
    }
}

/// The low 64 bits of a `UUIDv4`: 2 bits of its variant, then 62 random bits.
fn random() -> u64 {
    Uuid::new_v4().as_u64_pair().1
}

impl ItemRequest {
    fn into_line(self, index: usize, faults: &mut Faults) -> Option<OrderLine> {
        let pointer = |field: &'static str| fmt::from_fn(move |text| write!(text, "/items/{index}{field}"));
        let sku = faults.check(pointer("/sku"), Sku::new(self.sku));
        let quantity = faults.check(pointer("/quantity"), Quantity::new(self.quantity.0));
        let price = faults.check(pointer("/price_cents"), Cents::new(self.price_cents.0));
        faults.check(pointer(""), OrderLine::new(sku?, quantity?, price?))
    }
}
