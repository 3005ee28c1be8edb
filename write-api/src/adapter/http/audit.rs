//! One line in the log for each command, accepted or refused: who sent it, for which order, and how it ended.

use std::sync::LazyLock;

use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::{Error, HttpMessage, HttpRequest};
use serde::Serialize;
use service_kit::auth::{self, Caller, Grant};
use service_kit::overload::{OncePerSecond, OncePerSecondEach};
use service_kit::problem::Problem;
use service_kit::{log_output, request_id};
use uuid::Uuid;

use super::REPLAYED;

const TARGET: &str = "audit";
const MESSAGE: &str = "command";

/// The command was dropped while it ran, because it panicked or the process has ended. It may have been stored.
const ABANDONED: &str = "abandoned";

/// The lines of commands without a valid token, and of those over a share: one a second.
static ANONYMOUS: OncePerSecond = OncePerSecond::new();

/// The lines of callers whose token does not allow the command: one a second for each subject.
static FORBIDDEN: LazyLock<OncePerSecondEach> = LazyLock::new(OncePerSecondEach::default);

/// The order of a request whose path does not name it.
struct NamedOrder(Uuid);

/// Names the order for the line of this request.
pub(super) fn name_order(request: &HttpRequest, order_id: Uuid) {
    request.extensions_mut().insert(NamedOrder(order_id));
}

/// Runs `resource`, and passes the line to `log` when it has ended. A command runs to its end in a task of its own, so
/// that a client that hangs up cannot hide how it ended. While lines cannot be written, commands are refused.
pub(super) fn record<S, B, L>(
    step: &'static str,
    request: ServiceRequest,
    resource: &S,
    log: L,
) -> impl Future<Output = Result<ServiceResponse<B>, Error>> + use<S, B, L>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    B: MessageBody + 'static,
    L: Fn(&Line<'_>) + 'static,
{
    let is_command = request.method() == Method::POST;
    let is_unrecorded = is_command && log_output::is_failing();
    let command = is_command.then(|| Command {
        request: request.request().clone(),
        step,
        outcome: ABANDONED,
        is_unrecorded,
        log,
    });
    let running = if is_unrecorded {
        Err(Problem::unavailable(
            "The command cannot be recorded. Nothing was stored. Send the same request again.",
        ))
    } else {
        // Boxed: it is large, and moves several times.
        Ok(Box::pin(resource.call(request)))
    };
    let running = async move {
        match running {
            Ok(running) => running.await,
            Err(problem) => Err(problem.into()),
        }
    };
    async move {
        let Some(command) = command else { return running.await };
        let run = async move {
            // The whole value: `move` alone would take a copy of its outcome.
            let mut command = command;
            let result = running.await;
            command.outcome = outcome(&result);
            result
        };
        actix_web::rt::spawn(run).await.unwrap_or_else(|_panicked| Err(Problem::internal().into()))
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
    /// It was refused because it cannot be recorded.
    is_unrecorded: bool,
    log: L,
}

/// One command.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Line<'a> {
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
    /// How many commands of this kind there were since the last such line; `None` if each has a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
    #[serde(skip)]
    allowed: Allowed,
    /// Its line may be dropped: nothing was done.
    #[serde(skip)]
    is_unrecorded: bool,
}

/// Whether the caller was allowed to send the command.
#[derive(Clone, Copy)]
enum Allowed {
    Yes,
    /// There was no valid token, or its subject is over its share.
    Anonymous,
    /// The token does not allow it.
    No,
}

/// Adds it to the log. Anybody can send commands without a token, and everybody with one those that it does not allow:
/// if each had a line, they could fill the log, and so stop the commands of others.
pub(super) fn write(line: &Line<'_>) {
    let times = match line.allowed {
        Allowed::Yes => None,
        Allowed::Anonymous => ANONYMOUS.count(),
        Allowed::No => FORBIDDEN.count(line.subject.unwrap_or_default()),
    };
    if times.is_none() && !matches!(line.allowed, Allowed::Yes) {
        return;
    }
    let line = &Line { times, ..*line };
    if line.is_unrecorded {
        log_output::record_refusal(TARGET, MESSAGE, line);
    } else {
        log_output::record(TARGET, MESSAGE, line);
    }
}

impl<L: Fn(&Line<'_>)> Drop for Command<L> {
    fn drop(&mut self) {
        let Self { request, step, outcome, is_unrecorded, log } = self;
        let extensions = request.extensions();
        let grant = extensions.get::<Grant>();
        // A caller without the right.
        let refused = extensions.get::<Caller>();
        let subject = grant.and_then(Grant::subject).map(|subject| &**subject);
        let subject = subject.or(refused.map(Caller::subject)).map(auth::escaped);
        let customer = grant.and_then(Grant::customer).or(refused.and_then(Caller::customer));
        let customer = customer.map(auth::escaped);
        let in_path = || Uuid::try_parse(request.match_info().get("order_id")?).ok();
        log(&Line {
            subject: subject.as_deref(),
            scope: grant.and_then(Grant::scope),
            customer: customer.as_deref(),
            order_id: extensions.get().map(|NamedOrder(order_id)| *order_id).or_else(in_path),
            step,
            outcome,
            request_id: request_id::of(request.headers()),
            times: None,
            allowed: match (grant, refused) {
                (Some(_), _) => Allowed::Yes,
                (None, Some(_)) => Allowed::No,
                (None, None) => Allowed::Anonymous,
            },
            is_unrecorded: *is_unrecorded,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::ready;
    use std::rc::Rc;

    use actix_web::HttpResponse;
    use actix_web::body::BoxBody;
    use actix_web::dev::fn_service;
    use actix_web::test::TestRequest;

    use super::*;

    type Outcomes = Rc<RefCell<Vec<&'static str>>>;

    /// The outcomes in the log after a request that `resource` handles.
    async fn outcomes<F>(request: TestRequest, resource: fn(ServiceRequest) -> F) -> Vec<&'static str>
    where
        F: Future<Output = Result<ServiceResponse<BoxBody>, Error>> + 'static,
    {
        let outcomes = Outcomes::default();
        let logged = Rc::clone(&outcomes);
        let log = move |line: &Line<'_>| logged.borrow_mut().push(line.outcome);
        let _result = record("pay", request.to_srv_request(), &fn_service(resource), log).await;
        outcomes.take()
    }

    #[actix_web::test]
    async fn a_command_has_one_line() {
        let replayed = |request: ServiceRequest| {
            ready(Ok(request.into_response(HttpResponse::Ok().insert_header(REPLAYED).finish())))
        };
        let failed = |_| ready(Err(Problem::internal().into()));
        assert_eq!(outcomes(TestRequest::post(), replayed).await, ["replayed"]);
        assert_eq!(outcomes(TestRequest::post(), failed).await, ["internal"]);
        assert_eq!(outcomes(TestRequest::post(), |_| async { panic!("a bug") }).await, ["abandoned"]);
        assert_eq!(outcomes(TestRequest::get(), replayed).await, Vec::<&str>::new());
    }
}
