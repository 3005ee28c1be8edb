//! `GET /orders`.

use actix_web::{HttpRequest, HttpResponse, web};
use service_kit::auth::Grant;
use service_kit::problem::Problem;

use super::ORDERS;
use super::list_page::{self, ListResponse};
use super::list_query::ListQuery;
use super::problems::ListProblems;
use crate::cursor::{CursorKeys, Customers};
use crate::port::OrderQueries;
use crate::version_wait::VersionWait;

/// The orders of all customers, newest first
///
/// For screens of the staff: `?status=paid` lists what is paid and not yet shipped.
///
/// Follow `next_cursor`, or the `Link` header, to the next page. Without `status` you see each order that existed when
/// you started exactly once, even if orders are placed or changed in the meantime. With `status`, an order that changes
/// its status in the meantime may be missing, or appear in its new status.
///
/// Reads lag writes by milliseconds. Pass the order and the `version` from your write as `after` to see your write in
/// the list. With `Prefer: wait=<seconds>` the request waits for it, up to 10 seconds.
#[utoipa::path(
    get, path = ORDERS, tag = "orders", operation_id = "list_all_orders",
    params(
        ("limit" = Option<u8>, Query, nullable = false, minimum = 1, maximum = 100, example = 20,
            description = "The maximum number of orders on the page."),
        ("status" = Option<Vec<String>>, Query, nullable = false, max_items = 5, explode = true,
            description = "Only orders in this status: `placed`, `paid`, `shipped`, `delivered` or `cancelled`. Repeat \
                it for orders in any of several statuses."),
        ("placed_from" = Option<chrono::DateTime<chrono::Utc>>, Query, nullable = false,
            description = "Only orders placed at this time or later."),
        ("placed_to" = Option<chrono::DateTime<chrono::Utc>>, Query, nullable = false,
            description = "Only orders placed before this time."),
        ("cursor" = Option<String>, Query, nullable = false, description = "`next_cursor` of the previous page."),
        ("after" = Option<String>, Query, nullable = false, example = "0193a0c0-5f6e-7c1a-9d7e-000000000003:2",
            pattern = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}:[1-9][0-9]{0,8}$",
            description = "`<order_id>:<version>`, as your write returned them. The response shows a state in which \
                the order has at least this version, whether or not the order is on the page. While the read side \
                has only an older one, the response is 503 `projection-behind`."),
        ("Prefer" = Option<String>, Header, nullable = false, example = "wait=2",
            description = "`wait=<seconds>`: how long to wait for `after`. More than 10 counts as 10."),
    ),
    responses(
        (status = 200, description = "A page; empty if no orders match.", body = ListResponse, headers(
            ("Link" = String, description = "`<…>; rel=\"next\"`: the next page, if there is one. It does not repeat \
                `after`: the check applies to one page."),
            ("Preference-Applied" = String,
                description = "`wait=<seconds>`, if the request had this preference and `after`."),
        )),
        ListProblems,
    ),
)]
pub(super) async fn handle<Q: OrderQueries>(
    request: HttpRequest,
    grant: Grant,
    query: web::Query<Vec<(String, String)>>,
    queries: web::Data<Q>,
    version_wait: web::Data<VersionWait>,
    keys: web::Data<CursorKeys>,
) -> Result<HttpResponse, Problem> {
    let query = ListQuery::parse(&query)?;
    list_page::respond((&request, &grant), Customers::All, &query, (&**queries, &version_wait, &keys)).await
}
