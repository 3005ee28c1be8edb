//! `GET /orders-by-sku`.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use service_kit::database::Database;
use service_kit::problem::Problem;

use super::parameters::Parameters;
use super::{ORDERS_BY_SKU, Problems, queries};

/// A page of SKUs.
#[derive(Serialize, utoipa::ToSchema)]
struct SkusResponse {
    /// By SKU.
    #[schema(max_items = 1000)]
    skus: Vec<SkuOrders>,
    /// `after` of the next page; null on the last one.
    #[schema(example = "POT-IRON")]
    next: Option<String>,
}

/// The orders of a SKU.
#[derive(Serialize, utoipa::ToSchema)]
struct SkuOrders {
    /// The stock keeping unit.
    #[schema(example = "POT-IRON", min_length = 1, max_length = 64)]
    sku: String,
    /// The number of orders that have it.
    #[schema(minimum = 1)]
    orders: i64,
    /// The number of units in them.
    units: i64,
}

/// Orders by SKU
///
/// Counts each order from the moment it is placed, unless it is cancelled.
#[utoipa::path(
    get, path = ORDERS_BY_SKU, tag = "revenue", operation_id = "list_orders_by_sku",
    params(
        ("limit" = Option<i64>, Query, nullable = false, minimum = 1, maximum = 1000, example = 100,
            description = "The maximum number of SKUs on the page."),
        ("after" = Option<String>, Query, nullable = false, min_length = 1, max_length = 64, example = "POT-IRON",
            description = "`next` of the previous page: the SKUs after this one."),
    ),
    responses((status = 200, description = "A page.", body = SkusResponse), Problems),
)]
pub(super) async fn handle(
    query: web::Query<Vec<(String, String)>>,
    database: web::Data<Database>,
) -> Result<HttpResponse, Problem> {
    let query = Parameters::of_skus(&query)?;
    let limit = query.limit();
    let page = queries::skus(&database, query.into_after(), limit).await?;
    let next = page.rows.last().filter(|_| page.is_more).map(|(sku, ..)| sku.clone());
    let skus = page.rows.into_iter().map(|(sku, orders, units)| SkuOrders { sku, orders, units }).collect();
    Ok(HttpResponse::Ok().json(SkusResponse { skus, next }))
}
