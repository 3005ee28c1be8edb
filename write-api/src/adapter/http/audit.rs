//! One line in the log for each command, accepted or refused: who sent it, for which order, and how it ended.

use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::{Error, HttpMessage, HttpRequest};
use chrono::{DateTime, SubsecRound, Utc};
use serde::Serialize;
use service_kit::auth::{Caller, Grant};
use service_kit::problem::Problem;
use service_kit::{log_output, request_id};
use uuid::Uuid;

use super::REPLAYED;

/// The command was dropped while it ran, because its connection or the process has ended. It may have been stored.
const ABANDONED: &str = "abandoned";

/// The order of a request whose path does not name it.
struct NamedOrder(Uuid);

/// Names the order for the line of this request.
pub(super) fn name_order(request: &HttpRequest, order_id: Uuid) {
    request.extensions_mut().insert(NamedOrder(order_id));
}

/// Runs `resource`, and passes the line to `log` when it has ended or is dropped, whether or not the client still
/// listens. While lines cannot be written, commands are refused; the next line that can be written ends this.
pub(super) fn record<S, B, L>(
    step: &'static str,
    request: ServiceRequest,
    resource: &S,
    log: L,
) -> impl Future<Output = Result<ServiceResponse<B>, Error>> + use<S, B, L>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
    L: Fn(&Line<'_>),
{
    let is_command = request.method() == Method::POST;
    let mut command =
        is_command.then(|| Command { request: request.request().clone(), step, outcome: ABANDONED, log });
    let running = if is_command && log_output::is_failing() {
        Err(Problem::unavailable(
            "The command cannot be recorded. Nothing was stored. Send the same request again.",
        ))
    } else {
        Ok(resource.call(request))
    };
    async move {
        let result = match running {
            Ok(running) => running.await,
            Err(problem) => Err(problem.into()),
        };
        if let Some(command) = &mut command {
            command.outcome = outcome(&result);
        }
        result
    }
}

fn outcome<B>(result: &Result<ServiceResponse<B>, Error>) -> &'static str {
    let error = match result {
        Ok(response) => response.response().error(),
        Err(error) => Some(error),
    };
    match (error, result) {
        (Some(error), _) => error.as_error::<Problem>().map_or("internal", Problem::slug),
        (None, Ok(response)) if response.headers().contains_key(REPLAYED.0) => "replayed",
        (None, _) => "done",
    }
}

/// A command whose line is written when this value is dropped.
struct Command<L: Fn(&Line<'_>)> {
    request: HttpRequest,
    step: &'static str,
    outcome: &'static str,
    log: L,
}

/// One command. The first fields are those of every line of the log.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    timestamp: DateTime<Utc>,
    level: &'static str,
    target: &'static str,
    message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<&'a str>,
    #[serde(rename = "order.id", skip_serializing_if = "Option::is_none")]
    order_id: Option<Uuid>,
    step: &'static str,
    outcome: &'static str,
    #[serde(rename = "request.id", skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

impl<L: Fn(&Line<'_>)> Drop for Command<L> {
    fn drop(&mut self) {
        let Self { request, step, outcome, log } = self;
        let extensions = request.extensions();
        let grant = extensions.get::<Grant>();
        // A caller without the right.
        let refused = extensions.get::<Caller>();
        let in_path = || Uuid::try_parse(request.match_info().get("order_id")?).ok();
        log(&Line {
            timestamp: Utc::now().trunc_subsecs(6),
            level: "INFO",
            target: "audit",
            message: "command",
            subject: grant
                .and_then(Grant::subject)
                .map(|subject| &**subject)
                .or(refused.map(Caller::subject)),
            scope: grant.and_then(Grant::scope),
            customer: grant.and_then(Grant::customer).or(refused.and_then(Caller::customer)),
            order_id: extensions.get().map(|NamedOrder(order_id)| *order_id).or_else(in_path),
            step,
            outcome,
            request_id: request_id::of(request.headers()),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::{pending, ready};

    use actix_web::HttpResponse;
    use actix_web::body::BoxBody;
    use actix_web::dev::fn_service;
    use actix_web::test::TestRequest;
    use futures_util::FutureExt;

    use super::*;

    /// The outcomes in the log after a request that `resource` handles; it is dropped if that takes time.
    fn outcomes<F>(request: TestRequest, resource: fn(ServiceRequest) -> F) -> Vec<&'static str>
    where
        F: Future<Output = Result<ServiceResponse<BoxBody>, Error>>,
    {
        let outcomes = RefCell::new(Vec::new());
        let log = |line: &Line<'_>| outcomes.borrow_mut().push(line.outcome);
        let _result = record("pay", request.to_srv_request(), &fn_service(resource), log).now_or_never();
        outcomes.take()
    }

    #[test]
    fn a_command_has_one_line_also_if_it_is_dropped() {
        let replayed = |request: ServiceRequest| {
            ready(Ok(request.into_response(HttpResponse::Ok().insert_header(REPLAYED).finish())))
        };
        assert_eq!(outcomes(TestRequest::post(), replayed), ["replayed"]);
        assert_eq!(outcomes(TestRequest::post(), |_| pending()), ["abandoned"]);
        assert_eq!(outcomes(TestRequest::post(), |_| ready(Err(Problem::internal().into()))), ["internal"]);
        assert_eq!(outcomes(TestRequest::get(), replayed), Vec::<&str>::new());
    }
}
