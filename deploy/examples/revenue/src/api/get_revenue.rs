//! `GET /revenue`.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use service_kit::database::Database;
use service_kit::problem::Problem;

use super::parameters::{MonthAndCurrency, Parameters};
use super::queries::{self, MonthRow};
use super::{Problems, REVENUE};

/// A page of months.
#[derive(Serialize, utoipa::ToSchema)]
struct RevenueResponse {
    /// Newest month first, and the currencies of a month in alphabetical order.
    #[schema(max_items = 1000)]
    revenue: Vec<MonthlyRevenue>,
    /// `after` of the next page; null on the last one.
    #[schema(example = "2026-11.EUR")]
    next: Option<String>,
}

/// The revenue of a month in a currency.
#[derive(Serialize, utoipa::ToSchema)]
struct MonthlyRevenue {
    /// Of the payment, in UTC. Null: these orders are paid, but no event has said when.
    #[schema(example = "2026-11")]
    month: Option<String>,
    /// The ISO 4217 code. Null: the orders were placed without one.
    #[schema(example = "EUR")]
    currency: Option<String>,
    /// The number of orders.
    #[schema(minimum = 1)]
    orders: i64,
    /// The sum of their totals, in the currency's minor unit. It may exceed 2^53.
    #[schema(value_type = i64, format = "", minimum = 0)]
    revenue_cents: i128,
}

/// Revenue by month and currency
///
/// Counts orders that are paid, shipped or delivered, in the month in which they were paid. If a paid order is
/// cancelled, it is taken out of that month again.
#[utoipa::path(
    get, path = REVENUE, tag = "revenue", operation_id = "get_revenue",
    params(
        ("by" = Option<String>, Query, nullable = false, pattern = "^month$", example = "month",
            description = "What the rows stand for: `month`."),
        ("limit" = Option<i64>, Query, nullable = false, minimum = 1, maximum = 1000, example = 100,
            description = "The maximum number of rows on the page."),
        ("after" = Option<String>, Query, nullable = false,
            pattern = "^([0-9]{4}-[0-9]{2})?\\.([A-Z]{3})?$", description = "`next` of the previous page."),
    ),
    responses((status = 200, description = "A page.", body = RevenueResponse), Problems),
)]
pub(super) async fn handle(
    query: web::Query<Vec<(String, String)>>,
    database: web::Data<Database>,
) -> Result<HttpResponse, Problem> {
    let query = Parameters::of_revenue(&query)?;
    let limit = query.limit();
    let page = queries::months(&database, query.into_after(), limit).await?;
    let next = page.rows.last().filter(|_| page.is_more).map(|(month, currency, ..)| {
        MonthAndCurrency { month: month.clone(), currency: currency.clone() }.to_next()
    });
    let revenue = page.rows.into_iter().map(month_response).collect::<Result<_, _>>()?;
    Ok(HttpResponse::Ok().json(RevenueResponse { revenue, next }))
}

fn month_response((month, currency, orders, cents): MonthRow) -> Result<MonthlyRevenue, Problem> {
    let known = |text: String| Some(text).filter(|text| !text.is_empty());
    let revenue_cents = cents.parse().map_err(|_| {
        tracing::error!(month, currency, "the revenue is not a whole number of up to 38 digits");
        Problem::internal()
    })?;
    Ok(MonthlyRevenue { month: known(month), currency: known(currency), orders, revenue_cents })
}
