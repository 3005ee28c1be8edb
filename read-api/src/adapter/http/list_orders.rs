//! `GET /customers/{customer_id}/orders`.

use actix_web::http::header::{CACHE_CONTROL, ContentType, LINK};
use actix_web::{HttpRequest, HttpResponse, web};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use service_kit::problem::Problem;
use utoipa::ToSchema;

use super::cursor::CursorKeys;
use super::list_query::ListQuery;
use super::problems::ListProblems;
use super::{CACHING, CUSTOMER_ORDERS, customer_id, problems};
use crate::model::{OrderSummary, PageRequest};
use crate::port::OrderQueries;

/// What one order takes in JSON where its texts are not long.
const ORDER_BYTES: usize = 288;

/// A page of a customer's orders, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct ListResponse {
    #[schema(max_items = 100)]
    orders: Vec<OrderSummary>,
    /// What to pass as `cursor` for the next page, with the same filter; `null` on the last one.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// A customer's orders, newest first
///
/// Going on by `next_cursor`, or by the `Link`, shows every order that was there at the start once, whatever happens meanwhile.
#[utoipa::path(
    get, path = CUSTOMER_ORDERS, tag = "orders", operation_id = "list_orders",
    params(
        ("customer_id" = String, Path, description = "Whose orders; no control characters.",
            min_length = 1, max_length = 128, pattern = r"^[^\u0000-\u001F\u007F-\u009F]+$", example = "alice"),
        ("limit" = Option<u8>, Query, nullable = false, minimum = 1, maximum = 100, example = 20,
            description = "The most orders on the page; 20 where it is left out."),
        ("status" = Option<Vec<String>>, Query, nullable = false, max_items = 5, explode = true,
            description = "Only orders in this status: `placed`, `paid`, `shipped`, `delivered` or `cancelled`. May be repeated."),
        ("placed_from" = Option<chrono::DateTime<chrono::Utc>>, Query, nullable = false,
            description = "Only orders placed at this time or later."),
        ("placed_to" = Option<chrono::DateTime<chrono::Utc>>, Query, nullable = false,
            description = "Only orders placed before this time."),
        ("cursor" = Option<String>, Query, nullable = false, description = "`next_cursor` of the page before this one."),
    ),
    responses(
        (status = 200, description = "A page; empty where the customer has no such orders.", body = ListResponse, headers(
            ("Link" = String, description = "`<…>; rel=\"next\"`: where the next page is, if there is one."),
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
    let customer_id = customer_id::of_path(&request, customer_id.into_inner())?;
    let query = ListQuery::parse(&query)?;
    let filter = query.filter();
    let open = |cursor| {
        let not_ours = "is none of this list's: take `next_cursor` as it is, with the same filter";
        keys.open(&customer_id, filter, cursor).ok_or_else(|| problems::invalid_parameter("cursor", not_ours))
    };
    let after = query.cursor().map(open).transpose()?;
    let page =
        PageRequest { customer_id: customer_id.clone(), filter: filter.clone(), after, limit: query.limit() };
    let page = queries.page(page).await.map_err(|error| problems::of_query(&error))?;
    let next_cursor = page.next.map(|position| keys.seal(&customer_id, filter, position));

    let mut response = HttpResponse::Ok();
    response.insert_header((CACHE_CONTROL, CACHING));
    if let Some(cursor) = &next_cursor {
        let customer = utf8_percent_encode(&customer_id, NON_ALPHANUMERIC);
        let link = format!("</customers/{customer}/orders?{}>; rel=\"next\"", query.next(cursor));
        response.insert_header((LINK, link));
    }
    let list = ListResponse { orders: page.orders, next_cursor };
    // Large enough from the start for most: growing copies what is there, again and again.
    let mut body = Vec::with_capacity(128 + ORDER_BYTES * list.orders.len());
    // A list is numbers and text, all of which JSON has.
    serde_json::to_writer(&mut body, &list).map_err(|_| Problem::internal())?;
    Ok(response.content_type(ContentType::json()).body(body))
}
