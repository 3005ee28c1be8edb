//! The path of each request, from its head to the headers of its response.

use std::cell::OnceCell;
use std::future::ready;
use std::rc::Rc;

use actix_http::body::{BoxBody, EitherBody};
use actix_http::{HttpMessage, Request, Response};
use actix_service::{ServiceFactory, fn_factory, fn_service, map_config};
use actix_web::dev::{AppConfig, Service, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use actix_web::{App, HttpRequest, HttpResponse, web};
use futures_util::future::Either;
use tokio_util::sync::CancellationToken;

use super::access_log::AccessLog;
use super::cors::{self, CorsOrigins};
use super::exchange::{Exchange, ResponseBody};
use super::in_flight::InFlight;
use super::refusal::refusal;
use super::request_metrics::{self, RefusedAt, ThreadMetrics};
use crate::auth::{Authenticator, guard as auth_guard};
use crate::problem::Problem;
use crate::request_id;

/// What every response has: its type is not guessed, and no link of it tells where it comes from.
pub(super) const SECURITY_HEADERS: [(HeaderName, &str); 2] =
    [(X_CONTENT_TYPE_OPTIONS, "nosniff"), (REFERRER_POLICY, "no-referrer")];

/// What all requests of one thread share.
pub(super) struct RequestPath {
    pub(super) closing: CancellationToken,
    pub(super) in_flight: InFlight,
    pub(super) access_log: AccessLog,
    pub(super) metrics: Rc<ThreadMetrics>,
    pub(super) cors: CorsOrigins,
    pub(super) authenticator: Option<Authenticator>,
}

/// Why a request must not reach its route.
struct Refused(Problem);

/// Wrapped by the pages of other origins only, so that these can read a refusal.
type AppResponse = ServiceResponse<EitherBody<EitherBody<BoxBody>>>;

/// A service that routes each request within its [`Exchange`], and one that decides whether a client that expects `100
/// Continue` gets it.
#[expect(clippy::type_complexity, reason = "types of services have no names")]
pub(super) fn request_services<F>(
    routes: F,
    path: RequestPath,
) -> (
    impl ServiceFactory<
        Request,
        Config = (),
        Response = Response<ResponseBody>,
        Error = actix_web::Error,
        InitError = (),
    > + use<F>,
    impl ServiceFactory<Request, Config = (), Response = Request, Error = Response<BoxBody>, InitError = ()>
    + use<F>,
)
where
    F: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
{
    let refused_at = RefusedAt::default();
    let app = App::new()
        .configure(routes)
        .default_service(web::to(no_such_resource))
        .wrap_fn(move |request, routes| {
            let refused = request.extensions_mut().remove();
            match refused {
                Some(Refused(problem)) => {
                    // No resource sees it, but it counts as a request to the one at its path.
                    if let Some(pattern) = request.match_pattern() {
                        request_metrics::set_route(request.request(), &refused_at.of(pattern));
                    }
                    Either::Left(ready(Ok(request.error_response(problem))))
                }
                None => Either::Right(routes.call(request)),
            }
        })
        .wrap(path.cors.middleware());
    let app = map_config(app, |()| AppConfig::default());
    let path = Rc::new(path);
    let started = Rc::new(OnceCell::new());
    let (path_of_service, started_app) = (Rc::clone(&path), Rc::clone(&started));
    let service = fn_factory(move || {
        let starting = app.new_service(());
        let (path, started) = (Rc::clone(&path_of_service), Rc::clone(&started_app));
        async move {
            let app = Rc::clone(started.get_or_init({
                let app = Rc::new(starting.await?);
                || app
            }));
            Ok(fn_service(move |request| {
                let serving = path.serve(&*app, request);
                async move { Ok(serving.await) }
            }))
        }
    });
    let expect = fn_service(move |request: Request| {
        let (path, app) = (Rc::clone(&path), started.get().map(Rc::clone));
        async move {
            let Err(problem) = path.check_expectation(&request).await else { return Ok(request) };
            let Some(app) = app else { return Err(HttpResponse::from_error(problem).into()) };
            // Its route refuses it, as without the expectation, and no body is asked for.
            auth_guard::refuse(&request, problem);
            Err(path.serve(&*app, request).await.map_body(|_, body| BoxBody::new(body)))
        }
    });
    (service, expect)
}

impl RequestPath {
    /// Every response has the id of its request.
    fn serve<S>(
        self: &Rc<Self>,
        app: &S,
        request: Request,
    ) -> impl Future<Output = Response<ResponseBody>> + use<S>
    where
        S: Service<Request, Response = AppResponse, Error = actix_web::Error>,
    {
        let mut request = request;
        let request_id = request_id::assign(&mut request);
        let recorded = (self.access_log, Rc::clone(&self.metrics));
        let (exchange, request) = Exchange::begin(request, recorded, request_id.clone());
        let handling = self.admit(&exchange, &request).map(|()| app.call(request));
        let path = Rc::clone(self);
        async move {
            let response = match handling {
                Ok(handling) => match handling.await.map(cors::response) {
                    Ok(response) => with_instance(response, &request_id),
                    // With the headers for pages of other origins, which `HttpResponse::from_error` would lose.
                    Err(error) => named(error.error_response(), error.as_error(), &request_id),
                },
                Err(problem) => with_instance(HttpResponse::from_error(problem), &request_id),
            };
            let response = Response::from(response);
            let mut response = exchange.end(response, &path.closing);
            let headers = response.headers_mut();
            headers.insert(request_id::X_REQUEST_ID.clone(), request_id);
            for (name, value) in SECURITY_HEADERS {
                headers.insert(name, HeaderValue::from_static(value));
            }
            response
        }
    }

    /// A refused request goes on to the place from which pages of other origins can read the refusal.
    fn admit(&self, exchange: &Exchange, request: &Request) -> Result<(), Problem> {
        // It has its response at once, without a route, and a page sees nothing of it.
        if self.cors.is_preflight(request) {
            return auth_guard::admit_open(
                self.authenticator.as_ref(),
                request.headers(),
                request.peer_addr().map(|address| address.ip()),
            );
        }
        let refused = refusal(request).map_or_else(|| exchange.begin_work(&self.in_flight), Err);
        if let Err(problem) = refused {
            request.extensions_mut().insert(Refused(problem));
        }
        Ok(())
    }

    async fn check_expectation(&self, request: &Request) -> Result<(), Problem> {
        let peer = request.peer_addr().map(|address| address.ip());
        auth_guard::check_expectation(self.authenticator.as_ref(), request.headers(), peer).await
    }
}

/// A problem document names the request.
fn named(response: HttpResponse, problem: Option<&Problem>, request_id: &HeaderValue) -> HttpResponse {
    match problem.map(|problem| problem.document(request_id.to_str().unwrap_or_default())) {
        Some(document) => response.set_body(BoxBody::new(document)),
        None => response,
    }
}

fn with_instance(response: HttpResponse, request_id: &HeaderValue) -> HttpResponse {
    let problem = response.error().and_then(|error| error.as_error::<Problem>()).cloned();
    named(response, problem.as_ref(), request_id)
}

async fn no_such_resource(request: HttpRequest) -> Result<&'static str, Problem> {
    auth_guard::check_open(request.app_data(), &request)?;
    Err(Problem::no_such_resource())
}
