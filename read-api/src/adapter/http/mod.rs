//! Routes and problem documents.

mod get_order;
mod list_orders;
mod problems;

use actix_web::web;
use runtime::resource::readable;

use crate::port::OrderQueries;

/// Adds the routes of the read side. The app must hold a `web::Data<Q>`.
pub fn routes<Q: OrderQueries>(app: &mut web::ServiceConfig) {
    let invalid = |name: &'static str| {
        move |error: &dyn std::fmt::Display| problems::invalid_parameter(name, error.to_string()).into()
    };
    let (path, query) = (invalid("path"), invalid("query"));
    app.app_data(web::PathConfig::default().error_handler(move |error, _| path(&error)))
        .app_data(web::QueryConfig::default().error_handler(move |error, _| query(&error)))
        .service(readable("/customers/{customer_id}/orders", web::route().to(list_orders::handle::<Q>)))
        .service(readable("/orders/{order_id}", web::route().to(get_order::handle::<Q>)));
}
