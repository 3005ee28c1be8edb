//! `GET /customers/{customer_id}/orders`.

use actix_web::{HttpRequest, HttpResponse, web};
use percent_encoding::percent_decode_str;
use runtime::problem::Problem;
use serde::Serialize;

use super::problems;
use crate::model::OrderSummary;
use crate::port::OrderQueries;

const DEFAULT_LIMIT: i64 = 20;
const MAX_LIMIT: i64 = 100;
/// The longest that a customer id can be, in characters; the write side takes no longer ones.
const MAX_CUSTOMER_ID_CHARS: usize = 128;

#[derive(Serialize)]
struct ListResponse {
    orders: Vec<OrderSummary>,
}

pub(super) async fn handle<Q: OrderQueries>(
    request: HttpRequest,
    customer_id: web::Path<String>,
    query: web::Query<Vec<(String, String)>>,
    queries: web::Data<Q>,
) -> Result<HttpResponse, Problem> {
    require_utf8(&request)?;
    let customer_id = check_customer_id(&customer_id)?;
    let limit = limit_of(&query)?;
    let orders = queries.recent(customer_id, limit).await.map_err(|error| problems::of_query(&error))?;
    Ok(HttpResponse::Ok().json(ListResponse { orders }))
}

/// actix replaces bytes that are not UTF-8, so that ids which differ would be taken for the same.
fn require_utf8(request: &HttpRequest) -> Result<(), Problem> {
    match percent_decode_str(request.path()).decode_utf8() {
        Ok(_) => Ok(()),
        Err(_) => Err(problems::invalid_parameter("customer_id", "must be UTF-8")),
    }
}

fn check_customer_id(customer_id: &str) -> Result<&str, Problem> {
    if customer_id.chars().nth(MAX_CUSTOMER_ID_CHARS).is_some() {
        let detail = format!("must have at most {MAX_CUSTOMER_ID_CHARS} characters");
        return Err(problems::invalid_parameter("customer_id", detail));
    }
    if customer_id.chars().any(char::is_control) {
        return Err(problems::invalid_parameter("customer_id", "must not contain control characters"));
    }
    Ok(customer_id)
}

fn limit_of(query: &[(String, String)]) -> Result<i64, Problem> {
    let mut limit = None;
    for (name, value) in query {
        if name != "limit" {
            return Err(problems::unknown_parameter(name));
        }
        if limit.is_some() {
            return Err(problems::invalid_parameter("limit", "must be given once"));
        }
        let number = value.parse().ok().filter(|number| (1..=MAX_LIMIT).contains(number));
        let detail = || format!("must be a whole number from 1 to {MAX_LIMIT}");
        limit = Some(number.ok_or_else(|| problems::invalid_parameter("limit", detail()))?);
    }
    Ok(limit.unwrap_or(DEFAULT_LIMIT))
}
