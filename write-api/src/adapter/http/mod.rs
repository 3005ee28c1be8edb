//! Routes, requests and responses, problem documents.

mod audit;
mod body;
mod change_status;
mod idempotency_key;
mod if_match;
mod place_order;
mod problems;

use actix_web::{Route, web};
use service_kit::auth::{Access, Right};
use service_kit::openapi;
use service_kit::resource::post_resource;
use utoipa::OpenApi;

use crate::port::OrderWriter;

const ORDERS: &str = "/orders";
const PAY: &str = "/orders/{order_id}/pay";
const SHIP: &str = "/orders/{order_id}/ship";
const DELIVER: &str = "/orders/{order_id}/deliver";
const CANCEL: &str = "/orders/{order_id}/cancel";

/// Marks the response to a request that an earlier request had already carried out.
const REPLAYED: (&str, &str) = ("Idempotent-Replayed", "true");

#[derive(OpenApi)]
#[openapi(
    info(title = "Orders: write-api", description = "Places orders and changes their status."),
    paths(
        place_order::handle,
        change_status::pay,
        change_status::ship,
        change_status::deliver,
        change_status::cancel,
    )
)]
struct Document;

/// The OpenAPI document of the write side.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    openapi::secured(Document::openapi(), &OPERATIONS)
}

const MAY_PLACE: Access = Access::Needs(&[Right::Any("orders:place")]);
const MAY_PAY: Access = Access::Needs(&[Right::Any("orders:pay")]);
const MAY_FULFIL: Access = Access::Needs(&[Right::Any("orders:fulfil")]);
const MAY_CANCEL: Access = Access::Needs(&[Right::Any("orders:cancel:any"), Right::Own("orders:cancel")]);

/// Path and access of every resource, for the guard and for the document. All of them accept POST only.
const OPERATIONS: [(&str, Access); 5] =
    [(ORDERS, MAY_PLACE), (PAY, MAY_PAY), (SHIP, MAY_FULFIL), (DELIVER, MAY_FULFIL), (CANCEL, MAY_CANCEL)];

/// With the name of each command.
fn resources<W: OrderWriter>() -> [((&'static str, Access), &'static str, Route); 5] {
    let [place, pay, ship, deliver, cancel] = OPERATIONS;
    [
        (place, "place", web::route().to(place_order::handle::<W>)),
        (pay, "pay", web::route().to(change_status::pay::<W>)),
        (ship, "ship", web::route().to(change_status::ship::<W>)),
        (deliver, "deliver", web::route().to(change_status::deliver::<W>)),
        (cancel, "cancel", web::route().to(change_status::cancel::<W>)),
    ]
}

/// The paths of all resources, without the probes and the OpenAPI document.
#[must_use]
pub fn paths() -> [&'static str; 5] {
    OPERATIONS.map(|(path, _)| path)
}

/// Adds the routes of the write side and their OpenAPI document. The app must hold a `web::Data<W>` and a
/// [`Budget`](crate::budget::Budget).
pub fn routes<W: OrderWriter>(app: &mut web::ServiceConfig) {
    for ((path, access), step, route) in resources::<W>() {
        let resource = post_resource(path, access, route);
        app.service(
            resource.wrap_fn(move |request, resource| audit::record(step, request, resource, audit::write)),
        );
    }
    openapi::serve(app, &document());
}
