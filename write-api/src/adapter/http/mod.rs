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
    Document::openapi()
}

const MAY_PLACE: Access = Access::Needs(&[Right::Any("orders:place")]);
const MAY_PAY: Access = Access::Needs(&[Right::Any("orders:pay")]);
const MAY_FULFIL: Access = Access::Needs(&[Right::Any("orders:fulfil")]);
const MAY_CANCEL: Access = Access::Needs(&[Right::Any("orders:cancel:any"), Right::Own("orders:cancel")]);

/// The command, path, access and handler of every resource. All of them accept POST only.
fn resources<W: OrderWriter>() -> [(&'static str, &'static str, Access, Route); 5] {
    [
        ("place", ORDERS, MAY_PLACE, web::route().to(place_order::handle::<W>)),
        ("pay", PAY, MAY_PAY, web::route().to(change_status::pay::<W>)),
        ("ship", SHIP, MAY_FULFIL, web::route().to(change_status::ship::<W>)),
        ("deliver", DELIVER, MAY_FULFIL, web::route().to(change_status::deliver::<W>)),
        ("cancel", CANCEL, MAY_CANCEL, web::route().to(change_status::cancel::<W>)),
    ]
}

/// The paths of all resources, without the probes and the OpenAPI document.
#[must_use]
pub fn paths<W: OrderWriter>() -> Vec<&'static str> {
    resources::<W>().iter().map(|(_, path, ..)| *path).collect()
}

/// Adds the routes of the write side and their OpenAPI document. The app must hold a `web::Data<W>` and a
/// [`Budget`](crate::budget::Budget).
pub fn routes<W: OrderWriter>(app: &mut web::ServiceConfig) {
    for (step, path, access, route) in resources::<W>() {
        let resource = post_resource(path, access, route);
        app.service(resource.wrap_fn(move |request, resource| audit::record(step, request, resource)));
    }
    service_kit::openapi::serve(app, &document());
}
