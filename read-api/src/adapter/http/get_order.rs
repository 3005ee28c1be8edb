//! `GET /orders/{order_id}`.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ETAG, EntityTag, Header, IF_NONE_MATCH, IfNoneMatch};
use actix_web::{HttpRequest, HttpResponse, web};
use runtime::problem::Problem;
use uuid::Uuid;

use super::problems;
use crate::port::OrderQueries;

/// Whose order it is is nobody else's business, and a copy is asked about each time: that costs little, see [`is_known`].
const CACHING: &str = "private, no-cache";

pub(super) async fn handle<Q: OrderQueries>(
    request: HttpRequest,
    order_id: web::Path<String>,
    query: web::Query<Vec<(String, String)>>,
    queries: web::Data<Q>,
) -> Result<HttpResponse, Problem> {
    let order_id =
        Uuid::try_parse(&order_id).map_err(|_| problems::invalid_parameter("order_id", "must be a UUID"))?;
    if let Some((name, _)) = query.first() {
        return Err(problems::unknown_parameter(name));
    }
    let order = queries
        .find(order_id)
        .await
        .map_err(|error| problems::of_query(&error))?
        .ok_or_else(problems::no_such_order)?;
    let etag = EntityTag::new_strong(order.version.to_string());
    let known = is_known(&request, &etag);
    let mut response = HttpResponse::build(if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    response.insert_header((ETAG, etag.to_string())).insert_header((CACHE_CONTROL, CACHING));
    Ok(if known { response.finish() } else { response.json(order) })
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
