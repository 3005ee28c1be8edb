//! The operator's page: what the projector has to do, and what to do about it. It is for browsers on this machine.
//!
//! | File | Holds |
//! |---|---|
//! | `files` | the page |
//! | `shared` | results that all open pages share |
//! | `read` | what the page shows |
//! | `act` | what it changes, each with a line in the log |
//! | `failure` | … and why that failed |
//! | `problems` | why a request is refused |

mod act;
mod failure;
mod files;
mod problems;
mod read;
mod shared;

use std::sync::Arc;

use actix_web::http::header::{CACHE_CONTROL, ContentType};
use actix_web::{HttpRequest, HttpResponse, web};
use service_kit::auth::{Access, is_from_this_machine};
use service_kit::database::Database;
use service_kit::problem::Problem;
use service_kit::resource::{get_resource, post_resource};
use tokio::runtime::Handle;

use self::act::Line;
use self::read::ParkedQuery;
use self::shared::Shared;
use super::AdminEndpoints;
use crate::batch::BatchRunner;

/// The page and its requests.
#[derive(Clone)]
pub(super) struct OperatorPage {
    inner: Arc<Inner>,
    /// Connections belong to this runtime.
    runtime: Handle,
}

struct Inner {
    database: Database,
    runner: Arc<BatchRunner>,
    may_act: bool,
    state: Shared<()>,
    parked: Shared<ParkedQuery>,
}

impl OperatorPage {
    pub(super) fn new(endpoints: &AdminEndpoints, runtime: Handle) -> Self {
        let inner = Inner {
            database: endpoints.database.clone(),
            runner: Arc::clone(&endpoints.runner),
            may_act: endpoints.may_act,
            state: Shared::default(),
            parked: Shared::default(),
        };
        Self { inner: Arc::new(inner), runtime }
    }

    /// Adds the page, its files and its API.
    pub(super) fn serve(&self, app: &mut web::ServiceConfig) {
        files::serve(app);
        let page = self.clone();
        let state = web::route().to(move |request: HttpRequest| {
            let page = page.clone();
            async move { page.state(&request).await }
        });
        let page = self.clone();
        let parked =
            web::route().to(move |request: HttpRequest, query: web::Query<Vec<(String, String)>>| {
                let page = page.clone();
                async move { page.parked(&request, &query).await }
            });
        let page = self.clone();
        let act = web::route().to(move |request: HttpRequest, body: web::Payload| {
            let page = page.clone();
            async move { page.act(&request, body).await }
        });
        app.service(get_resource("/operator/state", Access::Open, state))
            .service(get_resource("/operator/parked", Access::Open, parked))
            .service(post_resource("/operator/actions", Access::Open, act));
    }

    async fn state(&self, request: &HttpRequest) -> Result<HttpResponse, Problem> {
        check_reader(request)?;
        let inner = Arc::clone(&self.inner);
        let query = async move { inner.state.get((), read::state(&inner)).await };
        let body = self.runtime.spawn(query).await.map_err(|_panicked| Problem::internal())??;
        Ok(respond(&body))
    }

    async fn parked(
        &self,
        request: &HttpRequest,
        pairs: &[(String, String)],
    ) -> Result<HttpResponse, Problem> {
        check_reader(request)?;
        let (inner, query) = (Arc::clone(&self.inner), ParkedQuery::parse(pairs)?);
        let query = async move { inner.parked.get(query.clone(), read::parked(&inner, &query)).await };
        let body = self.runtime.spawn(query).await.map_err(|_panicked| Problem::internal())??;
        Ok(respond(&body))
    }

    /// The action runs to its end, also if the client hangs up, so that its line says how it ended.
    async fn act(&self, request: &HttpRequest, body: web::Payload) -> Result<HttpResponse, Problem> {
        let mut line = Line::new(request);
        let action = match check_local(request).and_then(|()| act::check(request, self.inner.may_act)) {
            Ok(()) => act::parse(body).await,
            Err(problem) => Err(problem),
        };
        let action = action.inspect_err(|problem| line.refused(problem))?;
        let inner = Arc::clone(&self.inner);
        let running = self.runtime.spawn(act::run_recorded(inner, action, line));
        running.await.map_err(|_panicked| Problem::internal())??;
        Ok(HttpResponse::NoContent().force_close().finish())
    }
}

/// A page of another site must neither read this nor act, nor one whose name resolves to this machine.
fn check_local(request: &HttpRequest) -> Result<(), Problem> {
    let refused = || problems::NOT_LOCAL.with(problems::NOT_LOCAL.when);
    is_from_this_machine(request).then_some(()).ok_or_else(refused)
}

/// Nor a page of another port of this machine: it could not read the response, but each costs a query.
fn check_reader(request: &HttpRequest) -> Result<(), Problem> {
    check_local(request)?;
    let headers = request.headers();
    let is_of_page =
        act::is_same_origin(headers) && headers.get("sec-fetch-site").is_none_or(|site| site != "same-site");
    is_of_page.then_some(()).ok_or_else(|| problems::NOT_FROM_THE_PAGE.with(problems::NOT_FROM_THE_PAGE.when))
}

/// The connection ends: probes and scrapes need the few that there are.
fn respond(body: &str) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.content_type(ContentType::json()).insert_header((CACHE_CONTROL, "no-store"));
    response.force_close().body(body.to_owned())
}
