//! `GET /customers/{customer_id}/orders`.

use actix_web::http::header::{CACHE_CONTROL, ContentType, LINK};
use actix_web::{HttpRequest, HttpResponse, web};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use service_kit::problem::Problem;
use utoipa::ToSchema;

use super::list_query::ListQuery;
use super::problems::ListProblems;
use super::{CACHING, CUSTOMER_ORDERS, customer_id, problems};
use crate::cursor::CursorKeys;
use crate::model::{OrderSummary, PageRequest};
use crate::port::OrderQueries;

/// The size of one order in JSON, if its texts are short.
const ORDER_BYTES: usize = 288;

/// A page of a customer's orders, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct ListResponse {
    #[schema(max_items = 100)]
    orders: Vec<OrderSummary>,
    /// The `cursor` of the next page, to be sent with the same filter; `null` on the last page.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// A customer's orders, newest first
///
/// Follow `next_cursor`, or the `Link` header, to the next page. You see each order that existed when you started
/// exactly once, even if orders are placed or changed in the meantime. With `status`, an order whose status changes in
/// the meantime may be missing.
#[utoipa::path(
    get, path = CUSTOMER_ORDERS, tag = "orders", operation_id = "list_orders",
    params(
        ("customer_id" = String, Path, description = "The customer's id; without control characters.",
            min_length = 1, max_length = 128, pattern = r"^[^\u0000-\u001F\u007F-\u009F]+$", example = "alice"),
        ("limit" = Option<u8>, Query, nullable = false, minimum = 1, maximum = 100, example = 20,
            description = "The maximum number of orders on the page. Default: 20."),
        ("status" = Option<Vec<String>>, Query, nullable = false, max_items = 5, explode = true,
            description = "Only orders in this status: `placed`, `paid`, `shipped`, `delivered` or `cancelled`. Repeat \
                it for orders in any of several statuses."),
        ("placed_from" = Option<chrono::DateTime<chrono::Utc>>, Query, nullable = false,
            description = "Only orders placed at this time or later."),
        ("placed_to" = Option<chrono::DateTime<chrono::Utc>>, Query, nullable = false,
            description = "Only orders placed before this time."),
        ("cursor" = Option<String>, Query, nullable = false, description = "`next_cursor` of the previous page."),
    ),
    responses(
        (status = 200, description = "A page; empty if no orders match.", body = ListResponse, headers(
            ("Link" = String, description = "`<…>; rel=\"next\"`: the next page, if there is one."),
        )),
        ListProblems,
    ),
)]
pub(super) async fn handle<Q: OrderQueries>(
    request: HttpRequest,
    customer_id: web::Path<String>,
    query: web::Query<Vec<(String, String)>>,
    queries: web::Data<Q>,
    keys: web::Data<CursorKeys>,
) -> Result<HttpResponse, Problem> {
    let customer_id = customer_id::from_path(&request, customer_id.into_inner())?;
    let query = ListQuery::parse(&query)?;
    let filter = query.filter();
    let open = |cursor| {
        let mismatch = "is not a cursor of this list: send `next_cursor` unchanged, with the same filter";
        keys.verify(&customer_id, filter, cursor)
            .ok_or_else(|| problems::invalid_parameter("cursor", mismatch))
    };
    let after = query.cursor().map(open).transpose()?;
    let page =
        PageRequest { customer_id: customer_id.clone(), filter: filter.clone(), after, limit: query.limit() };
    let page = queries.page(page).await?;
    let next_cursor = page.next.map(|position| keys.sign(&customer_id, filter, position));

    let mut response = HttpResponse::Ok();
    response.insert_header((CACHE_CONTROL, CACHING));
    if let Some(cursor) = &next_cursor {
        let customer = utf8_percent_encode(&customer_id, NON_ALPHANUMERIC);
        let link = format!("</customers/{customer}/orders?{}>; rel=\"next\"", query.next(cursor));
        response.insert_header((LINK, link));
    }
    let list = ListResponse { orders: page.orders, next_cursor };
    // Large enough for most lists from the start: growing a buffer copies its content.
    let mut body = Vec::with_capacity(128 + ORDER_BYTES * list.orders.len());
    // Cannot fail: a list consists of numbers and text.
    serde_json::to_writer(&mut body, &list).map_err(|_| Problem::internal())?;
    Ok(response.content_type(ContentType::json()).body(body))
}
