//! Resources that answer to the right methods, and tell so where another one is tried.

use actix_web::{Resource, Route, guard, web};

use crate::problem::Problem;

/// A resource that is read: GET, HEAD, and a 405 for every other method.
#[must_use]
pub fn readable(path: &str, get: Route) -> Resource {
    web::resource(path)
        .route(get.guard(guard::Any(guard::Get()).or(guard::Head())))
        .default_service(web::to(|| async { Err::<&str, _>(Problem::method_not_allowed("GET, HEAD")) }))
}

/// A resource that is told to do something: POST, and a 405 for every other method.
#[must_use]
pub fn actionable(path: &str, post: Route) -> Resource {
    web::resource(path)
        .route(post.guard(guard::Post()))
        .default_service(web::to(|| async { Err::<&str, _>(Problem::method_not_allowed("POST")) }))
}
