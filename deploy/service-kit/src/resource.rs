//! Resources that return 405 for wrong methods. Log lines of a handler belong to a span with the request's method and
//! the resource's path pattern, never with the values in the path.

use std::rc::Rc;

use actix_web::body::MessageBody;
use actix_web::dev::{HttpServiceFactory, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::guard::Guard;
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, Resource, Route, guard, web};
use tracing::Instrument;

use crate::auth::{Access, guard as auth_guard};
use crate::http::access_log;
use crate::http::request_metrics::{self, PathPattern};
use crate::problem::Problem;
use crate::request_id;
use crate::traces::{self, RequestSpan};

/// A resource for GET and HEAD; 405 for other methods.
#[must_use]
pub fn get_resource(path: &str, access: Access, get: Route) -> impl HttpServiceFactory + use<> {
    get_or_head(Declared { route: PathPattern::new(path), access }, get)
}

/// A resource for probes or scrapes, which are frequent: not measured, and logged at DEBUG. Everybody may use it.
#[must_use]
pub fn probe(path: &str, get: Route) -> impl HttpServiceFactory + use<> {
    get_or_head(Declared { route: PathPattern::of_probe(path), access: Access::Open }, get)
}

fn get_or_head(declared: Declared, get: Route) -> impl HttpServiceFactory + use<> {
    resource(declared, get, guard::Any(guard::Get()).or(guard::Head()), "GET, HEAD")
}

/// A resource for POST; 405 for other methods. What is wrapped around it sees refused callers too.
#[must_use]
pub fn post_resource(
    path: &str,
    access: Access,
    post: Route,
) -> Resource<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<>>,
        Error = Error,
        InitError = (),
    > + use<>,
> {
    resource(Declared { route: PathPattern::new(path), access }, post, guard::Post(), "POST")
}

fn resource<M: Guard + 'static>(
    declared: Declared,
    route: Route,
    methods: M,
    allow: &'static str,
) -> Resource<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<M>>,
        Error = Error,
        InitError = (),
    > + use<M>,
> {
    web::resource(declared.route.as_str())
        .app_data(declared)
        .route(route.guard(methods))
        .default_service(web::to(move || async move { Err::<&str, _>(Problem::method_not_allowed(allow)) }))
        .wrap(from_fn(in_a_span))
}

/// What a resource is registered with.
struct Declared {
    route: Rc<PathPattern>,
    access: Access,
}

/// Checks the caller and runs the handler, both in the request's span. `request.match_pattern()` would match the path a
/// second time on each request.
async fn in_a_span(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let declared = request.app_data::<Declared>();
    let route = declared.map(|declared| &declared.route);
    if let Some(route) = route {
        request_metrics::set_route(request.request(), route);
    }
    let (method, route) = (request.method().as_str(), route.map(|route| route.as_str()));
    let request_id = request_id::of(request.headers());
    let traced = traces::begin_request(method, route, request_id, request.headers());
    let ids = traced.as_ref().map(RequestSpan::ids);
    if let Some(ids) = ids {
        access_log::set_trace(request.request(), ids);
    }
    let span = tracing::info_span!(
        "request",
        http.request.method = method,
        http.route = route,
        request.id = request_id,
        trace_id = ids.map(|ids| display(ids.trace_id)),
        span_id = ids.map(|ids| display(ids.span_id)),
    );
    // Without a declaration, nobody is allowed.
    let access = declared.map_or(Access::Needs(&[]), |declared| declared.access);
    let handling = async move {
        auth_guard::check(&request, access).await?;
        next.call(request).await
    };
    let handled = RequestSpan::enclose(traced.as_ref(), handling.instrument(span)).await;
    if let Some(traced) = traced {
        traced.end(match &handled {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        });
    }
    handled
}

#[cfg(test)]
mod tests {
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, HttpResponse};

    use super::*;
    use crate::test_log::Log;

    #[actix_web::test]
    async fn a_log_line_has_the_request_id_and_the_pattern_but_not_the_path() {
        let (log, _guard) = Log::of_this_thread();
        let get = web::route().to(|| async {
            tracing::info!("here");
            HttpResponse::NoContent().finish()
        });
        let other = web::route().to(|| async {
            tracing::info!("there");
            HttpResponse::NoContent().finish()
        });
        let app = App::new().service(get_resource("/things/{id}", Access::Open, get)).service(post_resource(
            "/things/{id}/use",
            Access::Open,
            other,
        ));
        let app = init_service(app).await;
        // If a thread without a subscriber opened such a span first, tracing has disabled it for all: the first request
        // registers the span, and the rebuild enables it.
        call_service(&app, TestRequest::get().uri("/things/first").to_request()).await;
        tracing::callsite::rebuild_interest_cache();
        let request = TestRequest::get().uri("/things/secret").insert_header(("x-request-id", "an-id"));
        call_service(&app, request.to_request()).await;
        call_service(&app, TestRequest::post().uri("/things/secret/use").to_request()).await;
        let log = log.text();
        assert!(
            log.contains(r#""http.request.method":"GET","http.route":"/things/{id}","request.id":"an-id""#),
            "{log}"
        );
        assert!(log.contains(r#""http.request.method":"POST","http.route":"/things/{id}/use""#), "{log}");
        assert!(!log.contains("secret"), "{log}");
    }
}
