//! Routes and problem documents.

mod get_order;
mod list_orders;
mod problems;

use actix_web::web;
use runtime::problem::Problem;

use crate::port::OrderQueries;

/// Adds the routes of the read side. The app must hold a `web::Data<Q>`.
pub fn routes<Q: OrderQueries>(app: &mut web::ServiceConfig) {
    let only_get = || web::to(|| async { Err::<&str, _>(Problem::method_not_allowed("GET")) });
    app.app_data(
        web::PathConfig::default()
            .error_handler(|error, _| problems::invalid_parameter("path", error.to_string()).into()),
    )
    .app_data(
        web::QueryConfig::default()
            .error_handler(|error, _| problems::invalid_parameter("query", error.to_string()).into()),
    )
    .service(
        web::resource("/customers/{customer_id}/orders")
            .route(web::get().to(list_orders::handle::<Q>))
            .default_service(only_get()),
    )
    .service(
        web::resource("/orders/{order_id}")
            .route(web::get().to(get_order::handle::<Q>))
            .default_service(only_get()),
    );
}
