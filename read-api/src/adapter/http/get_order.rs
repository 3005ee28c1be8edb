//! `GET /orders/{order_id}`.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ETAG, EntityTag, Header, IF_NONE_MATCH, IfNoneMatch};
use actix_web::{HttpRequest, HttpResponse, web};
use service_kit::auth::Grant;
use service_kit::problem::Problem;
use uuid::Uuid;

use super::list_query::digits;
use super::preference::{self, PREFERENCE_APPLIED};
use super::problems::{self, OrderProblems};
use super::{CACHING, ORDER};
use crate::model::{OrderDetail, OrderRequest, WantedVersion};
use crate::port::OrderQueries;
use crate::version_wait::{VersionWait, until_ended};

/// One order
///
/// Everything that is known of the order: what the requests that placed, shipped or cancelled it said, and when each
/// step was.
///
/// Reads lag writes by milliseconds. Pass the `version` from your write as `min_version` to get that version or a
/// later one, never an older one. With `Prefer: wait=<seconds>` the request waits for it, up to 10 seconds.
#[utoipa::path(
    get, path = ORDER, tag = "orders", operation_id = "get_order",
    params(
        ("order_id" = Uuid, Path, description = "The order's id."),
        ("min_version" = Option<i32>, Query, nullable = false, minimum = 1, example = 1,
            description = "The `version` that the write returned. While the read side has only an older one, the \
                response is 503 `projection-behind`."),
        ("Prefer" = Option<String>, Header, nullable = false, example = "wait=2",
            description = "`wait=<seconds>`: how long to wait for `min_version`. More than 10 counts as 10."),
        ("If-None-Match" = Option<String>, Header, nullable = false, example = "\"1\"",
            description = "The `ETag` of the version that the client has."),
    ),
    responses(
        (status = 200, description = "The order.", body = OrderDetail, headers(
            ("ETag" = String, description = "The order's version, quoted, for `If-None-Match` here and `If-Match` on \
                the write side. Missing while the items or the time of a step are not known: facts may then be added \
                without a new version."),
            ("Preference-Applied" = String,
                description = "`wait=<seconds>`, if the request had this preference and `min_version`."),
        )),
        (status = 304, description = "The client already has this version.", headers(
            ("ETag" = String, description = "The order's version, quoted."),
        )),
        OrderProblems,
    ),
)]
pub(super) async fn handle<Q: OrderQueries>(
    request: HttpRequest,
    grant: Grant,
    order_id: web::Path<String>,
    query: web::Query<Vec<(String, String)>>,
    queries: web::Data<Q>,
    version_wait: web::Data<VersionWait>,
) -> Result<HttpResponse, Problem> {
    let order_id =
        Uuid::try_parse(&order_id).map_err(|_| problems::invalid_parameter("order_id", "must be a UUID"))?;
    let min_version = min_version(&query)?;
    let customer_id = grant.customer().map(ToOwned::to_owned);
    let order = queries.find(OrderRequest { order_id, customer_id: customer_id.clone() }).await?;
    let Some(min_version) = min_version else {
        return Ok(respond(&request, &order.ok_or_else(problems::no_such_order)?, None));
    };
    let wait = preference::wait(&request);
    let order = if let Some(order) = order.filter(|order| order.version >= min_version) {
        order
    } else {
        let wanted = WantedVersion { order_id, version: min_version, customer_id };
        let reached = version_wait.reach(wanted, wait.unwrap_or_default(), || grant.wait(&request));
        until_ended(grant.ended(), min_version, reached).await?
    };
    Ok(respond(&request, &order, wait))
}

fn min_version(query: &[(String, String)]) -> Result<Option<i32>, Problem> {
    let mut min_version = None;
    for (name, value) in query {
        if name != "min_version" {
            return Err(problems::unknown_parameter(&["min_version"]));
        }
        let number = digits(value).filter(|number| *number >= 1);
        let detail = || format!("must be a whole number from 1 to {}", i32::MAX);
        let number: i32 = number.ok_or_else(|| problems::invalid_parameter(name, detail()))?;
        if min_version.replace(number).is_some() {
            return Err(problems::invalid_parameter(name, "must be given once"));
        }
    }
    Ok(min_version)
}

fn respond(request: &HttpRequest, order: &OrderDetail, wait: Option<Duration>) -> HttpResponse {
    // An incomplete order may change without a new version, so it has no ETag: a cached copy would stay incomplete.
    let etag = order.is_complete().then(|| EntityTag::new_strong(order.version.to_string()));
    let is_known = etag.as_ref().is_some_and(|etag| is_known(request, etag));
    let mut response = HttpResponse::build(if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    response.insert_header((CACHE_CONTROL, CACHING));
    if let Some(etag) = etag {
        response.insert_header((ETAG, etag.to_string()));
    }
    if let Some(limit) = wait {
        response.insert_header((PREFERENCE_APPLIED, format!("wait={}", limit.as_secs())));
    }
    if is_known { response.finish() } else { response.json(order) }
}

/// Whether the client already has this version (RFC 9110, 13.1.2). An invalid header is ignored.
fn is_known(request: &HttpRequest, etag: &EntityTag) -> bool {
    if !request.headers().contains_key(IF_NONE_MATCH) {
        return false;
    }
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|tag| tag.weak_eq(etag)),
        Err(_) => false,
    }
}
