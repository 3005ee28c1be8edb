//! `GET /orders/{order_id}`.

use actix_web::http::header::ETAG;
use actix_web::{HttpResponse, web};
use runtime::problem::Problem;
use uuid::Uuid;

use super::problems;
use crate::port::OrderQueries;

pub(super) async fn handle<Q: OrderQueries>(
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
    Ok(HttpResponse::Ok().insert_header((ETAG, format!("\"{}\"", order.version))).json(order))
}
