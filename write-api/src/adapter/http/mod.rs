//! Routes, requests and answers, problem documents.

mod json_body;
mod place_order;
mod problems;

use actix_web::web;
use runtime::problem::Problem;

use crate::port::OrderWriter;

/// Adds the routes of the write side. The app must hold a `web::Data<W>`.
pub fn routes<W: OrderWriter>(app: &mut web::ServiceConfig) {
    app.service(
        web::resource("/orders")
            .route(web::post().to(place_order::handle::<W>))
            .default_service(web::to(|| async {
                Err::<&str, _>(Problem::method_not_allowed("POST"))
            })),
    );
}
