//! The problems of the read side, one function a type.

use actix_web::http::StatusCode;
use runtime::problem::{FieldError, Problem};

use crate::port::QueryError;

pub(super) fn invalid_parameter(name: &str, detail: impl Into<String>) -> Problem {
    let title = "Invalid parameter";
    Problem::new(
        StatusCode::BAD_REQUEST,
        "invalid-parameter",
        title,
        "A parameter breaks the rule named in `errors`.",
    )
    .with_errors(vec![FieldError::parameter(name, detail)])
}

pub(super) fn no_such_order() -> Problem {
    let detail = "There is no order of this id, or it has not reached the read side yet.";
    Problem::new(StatusCode::NOT_FOUND, "no-such-order", "No such order", detail)
}

/// Logs the cause, which stays with us.
pub(super) fn of_query(error: &QueryError) -> Problem {
    tracing::warn!(error = runtime::telemetry::chain(error), "query failed");
    Problem::unavailable("The read model cannot be queried now. Send the same request again.")
}
