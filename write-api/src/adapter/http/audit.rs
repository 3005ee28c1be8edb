//! One line in the log for each command, accepted or refused: who sent it, for which order, and how it ended.

use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::{Error, HttpMessage, HttpRequest};
use service_kit::auth::{Caller, Grant};
use service_kit::problem::Problem;
use service_kit::{log_output, request_id, telemetry};
use uuid::Uuid;

use super::REPLAYED;

/// The client has disconnected while the command ran: it may have been stored.
const ABANDONED: &str = "abandoned";

/// The order of a request whose path does not name it.
struct NamedOrder(Uuid);

/// Names the order for the line of this request.
pub(super) fn name_order(request: &HttpRequest, order_id: Uuid) {
    request.extensions_mut().insert(NamedOrder(order_id));
}

/// Runs `resource`, and writes the line when it has ended, or when it is dropped because the client has disconnected.
/// While lines cannot be written, commands are refused; the next line that can be written ends this.
pub(super) fn record<S, B>(
    step: &'static str,
    request: ServiceRequest,
    resource: &S,
) -> impl Future<Output = Result<ServiceResponse<B>, Error>> + use<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    let is_command = request.method() == Method::POST;
    let mut command =
        is_command.then(|| Command { request: request.request().clone(), step, outcome: ABANDONED });
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
struct Command {
    request: HttpRequest,
    step: &'static str,
    outcome: &'static str,
}

impl Drop for Command {
    fn drop(&mut self) {
        let Self { request, step, outcome } = self;
        let extensions = request.extensions();
        let grant = extensions.get::<Grant>();
        // A caller without the right.
        let refused = extensions.get::<Caller>();
        let in_path = || Uuid::try_parse(request.match_info().get("order_id")?).ok();
        let order_id = extensions.get().map(|NamedOrder(order_id)| *order_id).or_else(in_path);
        let mut text = Uuid::encode_buffer();
        let order_id = order_id.map(|order_id| &*order_id.as_hyphenated().encode_lower(&mut text));
        tracing::info!(
            target: telemetry::AUDIT,
            subject = grant.and_then(Grant::subject).map(|subject| &**subject).or(refused.map(Caller::subject)),
            scope = grant.and_then(Grant::scope),
            customer = grant.and_then(Grant::customer).or(refused.and_then(Caller::customer)),
            order.id = order_id,
            step,
            outcome,
            request.id = request_id::of(request.headers()),
            "command"
        );
    }
}
