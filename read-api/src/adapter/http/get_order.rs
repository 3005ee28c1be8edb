//! `GET /orders/{order_id}`.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ETAG, EntityTag, Header, IF_NONE_MATCH, IfNoneMatch};
use actix_web::{HttpRequest, HttpResponse, web};
use service_kit::problem::Problem;
use uuid::Uuid;

use super::list_query::digits;
use super::preference::{self, PREFERENCE_APPLIED};
use super::problems::{self, OrderProblems};
use super::{CACHING, ORDER};
use crate::model::OrderSummary;
use crate::port::OrderQueries;
use crate::version_wait::VersionWait;

/// One order, as far as it has been projected
///
/// With `min_version` it is that version or a later one that is answered, or none: an answer that is older than the client
/// knows would look as if its own change had been lost. `Prefer: wait=<seconds>` waits for it, 10 seconds at most.
#[utoipa::path(
    get, path = ORDER, tag = "orders", operation_id = "get_order",
    params(
        ("order_id" = Uuid, Path, description = "Which order."),
        ("min_version" = Option<i32>, Query, nullable = false, minimum = 1, example = 1,
            description = "The version that the write side answered: an earlier one is not shown, but answered by 503 `projection-behind`."),
        ("Prefer" = Option<String>, Header, nullable = false, example = "wait=2",
            description = "`wait=<seconds>`: how long to wait for `min_version`; more than 10 counts as 10."),
        ("If-None-Match" = Option<String>, Header, nullable = false, example = "\"1\"",
            description = "The `ETag` of the version that the client has."),
    ),
    responses(
        (status = 200, description = "The order.", body = OrderSummary, headers(
            ("ETag" = String, description = "The order's version, quoted."),
            ("Preference-Applied" = String, description = "`wait=<seconds>` where that was preferred, and `min_version` given."),
        )),
        (status = 304, description = "The client has this version.", headers(
            ("ETag" = String, description = "The order's version, quoted."),
        )),
        OrderProblems,
    ),
)]
pub(super) async fn handle<Q: OrderQueries>(
    request: HttpRequest,
    order_id: web::Path<String>,
    query: web::Query<Vec<(String, String)>>,
    queries: web::Data<Q>,
    version_wait: web::Data<VersionWait>,
) -> Result<HttpResponse, Problem> {
    let order_id =
        Uuid::try_parse(&order_id).map_err(|_| problems::invalid_parameter("order_id", "must be a UUID"))?;
    let min_version = min_version(&query)?;
    let order = queries.find(order_id).await.map_err(|error| problems::of_query(&error))?;
    let Some(min_version) = min_version else {
        return Ok(answer(&request, &order.ok_or_else(problems::no_such_order)?, None));
    };
    let wait = preference::wait(&request);
    let order = match order.filter(|order| order.version >= min_version) {
        Some(order) => order,
        None => version_wait
            .reach(order_id, min_version, wait.unwrap_or_default())
            .await
            .map_err(|error| problems::of_wait(&error, min_version))?,
    };
    Ok(answer(&request, &order, wait))
}

fn min_version(query: &[(String, String)]) -> Result<Option<i32>, Problem> {
    let mut min_version = None;
    for (name, value) in query {
        if name != "min_version" {
            return Err(problems::unknown_parameter(name));
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

fn answer(request: &HttpRequest, order: &OrderSummary, waited: Option<Duration>) -> HttpResponse {
    let etag = EntityTag::new_strong(order.version.to_string());
    let known = is_known(request, &etag);
    let mut response = HttpResponse::build(if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    response.insert_header((ETAG, etag.to_string())).insert_header((CACHE_CONTROL, CACHING));
    if let Some(limit) = waited {
        response.insert_header((PREFERENCE_APPLIED, format!("wait={}", limit.as_secs())));
    }
    if known { response.finish() } else { response.json(order) }
}

/// Whether the client has this version already (RFC 9110, 13.1.2). A header that cannot be read is as good as none.
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
