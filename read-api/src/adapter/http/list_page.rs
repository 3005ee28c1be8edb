//! What the lists have in common: reading a page, and the response.

use actix_web::http::header::{CACHE_CONTROL, ContentType, LINK};
use actix_web::{HttpRequest, HttpResponse};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use service_kit::auth::Grant;
use service_kit::problem::Problem;
use utoipa::ToSchema;

use super::CACHING;
use super::list_query::ListQuery;
use super::preference::{self, PREFERENCE_APPLIED};
use super::problems;
use crate::cursor::{CursorKeys, Customers};
use crate::model::{ListPosition, ListRequest, OrderSummary, PageOfAllRequest, PageRequest};
use crate::port::OrderQueries;
use crate::version_wait::{VersionWait, until_ended};

/// The size of one order in JSON, if its texts are short.
const ORDER_BYTES: usize = 304;

/// A page of orders, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct ListResponse {
    #[schema(max_items = 100)]
    orders: Vec<OrderSummary>,
    /// The `cursor` of the next page, to be sent with the same filter; `null` on the last page.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Reads the page of the list of these customers that the query names.
pub(super) async fn respond<Q: OrderQueries>(
    (request, grant): (&HttpRequest, &Grant),
    customers: Customers<'_>,
    query: &ListQuery,
    (queries, version_wait, keys): (&Q, &VersionWait, &CursorKeys),
) -> Result<HttpResponse, Problem> {
    let after = position(customers, query, keys)?;
    let list = list(customers, query, after);
    let mut response = HttpResponse::Ok();
    let page = match query.wanted(customers) {
        None => queries.page(list).await?,
        Some(wanted) => {
            let wait = preference::wait(request);
            if let Some(limit) = wait {
                response.insert_header((PREFERENCE_APPLIED, format!("wait={}", limit.as_secs())));
            }
            let read = async || queries.page_at(list.clone(), wanted.clone()).await;
            // On the heap: most requests have no `after`, and their future stays small.
            let limit = wait.unwrap_or_default();
            let reached = version_wait.read_at(&wanted, limit, || grant.wait(request), read);
            Box::pin(until_ended(grant.ended(), wanted.version, reached)).await?
        }
    };
    let next_cursor = page.next.map(|position| keys.sign(customers, query.filter(), position));
    response.insert_header((CACHE_CONTROL, CACHING));
    if let Some(cursor) = &next_cursor {
        response.insert_header((LINK, format!("<{}?{}>; rel=\"next\"", path(customers), query.next(cursor))));
    }
    let list = ListResponse { orders: page.orders, next_cursor };
    // Large enough for most lists from the start: growing a buffer copies its content.
    let mut body = Vec::with_capacity(128 + ORDER_BYTES * list.orders.len());
    // Cannot fail: a list consists of numbers and text.
    serde_json::to_writer(&mut body, &list).map_err(|_| Problem::internal())?;
    Ok(response.content_type(ContentType::json()).body(body))
}

fn path(customers: Customers<'_>) -> String {
    match customers {
        Customers::One(id) => format!("/customers/{}/orders", utf8_percent_encode(id, NON_ALPHANUMERIC)),
        Customers::All => "/orders".to_owned(),
    }
}

/// The position in the cursor, if there is one.
fn position(
    customers: Customers<'_>,
    query: &ListQuery,
    keys: &CursorKeys,
) -> Result<Option<ListPosition>, Problem> {
    let verify = |cursor| {
        let mismatch = "is not a cursor of this list: send `next_cursor` unchanged, with the same filter";
        keys.verify(customers, query.filter(), cursor)
            .ok_or_else(|| problems::invalid_parameter("cursor", mismatch))
    };
    query.cursor().map(verify).transpose()
}

fn list(customers: Customers<'_>, query: &ListQuery, after: Option<ListPosition>) -> ListRequest {
    let (filter, limit) = (query.filter().clone(), query.limit());
    match customers {
        Customers::One(customer_id) => {
            ListRequest::OfCustomer(PageRequest { customer_id: customer_id.to_owned(), filter, after, limit })
        }
        Customers::All => ListRequest::OfAll(PageOfAllRequest { filter, after, limit }),
    }
}
