//! Routes, responses and problem documents.

mod customer_id;
mod dashboard;
#[cfg(test)]
mod document_limits;
mod get_order;
mod list_all_orders;
mod list_orders;
mod list_page;
mod list_query;
mod preference;
mod problems;
mod stream_orders;

use actix_web::{Route, web};
use service_kit::auth::{Access, Right};
use service_kit::openapi;
use service_kit::resource::get_resource;
use utoipa::OpenApi;

use crate::port::{OrderQueries, OrderWatch};

const CUSTOMER_ORDERS: &str = "/customers/{customer_id}/orders";
const CUSTOMER_ORDERS_STREAM: &str = "/customers/{customer_id}/orders/stream";
const ORDERS: &str = "/orders";
const ORDER: &str = "/orders/{order_id}";

/// Personal data: shared caches must not store it, and every use revalidates.
const CACHING: &str = "private, no-cache";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Orders: read-api",
        description = "The read side: a customer's recent orders, the orders of all customers, single orders, and live \
            updates."
    ),
    paths(list_orders::handle, stream_orders::handle, list_all_orders::handle, get_order::handle)
)]
struct Document;

/// The OpenAPI document of the read side.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    let limit = |document, path| openapi::with_default(document, path, "limit", list_query::DEFAULT_LIMIT);
    openapi::secured(limit(limit(Document::openapi(), CUSTOMER_ORDERS), ORDERS), &OPERATIONS)
}

const READ_ANY: Right = Right::Any("orders:read:any");
/// The handler decides whose orders it returns.
const MAY_READ: Access = Access::Needs(&[READ_ANY, Right::Own("orders:read")]);
const MAY_READ_ALL: Access = Access::Needs(&[READ_ANY]);

/// Path and access of each resource of the API, for the guard and for the document. Every method is GET.
const OPERATIONS: [(&str, Access); 4] = [
    (CUSTOMER_ORDERS, MAY_READ),
    (CUSTOMER_ORDERS_STREAM, MAY_READ),
    (ORDERS, MAY_READ_ALL),
    (ORDER, MAY_READ),
];

fn resources<Q: OrderQueries, W: OrderWatch>() -> [((&'static str, Access), Route); 4] {
    let [customer_orders, customer_orders_stream, orders, order] = OPERATIONS;
    [
        (customer_orders, web::route().to(list_orders::handle::<Q>)),
        (customer_orders_stream, web::route().to(stream_orders::handle::<W>)),
        (orders, web::route().to(list_all_orders::handle::<Q>)),
        (order, web::route().to(get_order::handle::<Q>)),
    ]
}

/// The paths of the API, without the dashboard and the document.
#[must_use]
pub fn paths() -> [&'static str; 4] {
    OPERATIONS.map(|(path, _)| path)
}

/// Adds the API, the dashboard, and the OpenAPI document. The app must hold `web::Data` of a `Q`, a `VersionWait`, a
/// `Live<W>` and a `CursorKeys`.
pub fn routes<Q: OrderQueries, W: OrderWatch>(app: &mut web::ServiceConfig) {
    for ((path, access), route) in resources::<Q, W>() {
        app.service(get_resource(path, access, route));
    }
    dashboard::serve(app);
    openapi::serve(app, &document());
}
