//! The problems of the read side, one function a type.

use runtime::problem::{FieldError, Problem, ProblemType};

use crate::port::QueryError;

const NO_SUCH_ORDER: ProblemType = ProblemType {
    status: 404,
    slug: "no-such-order",
    title: "No such order",
    when: "There is no order of this id, or it has not reached the read side yet.",
};

pub(super) fn invalid_parameter(name: &str, detail: impl Into<String>) -> Problem {
    Problem::invalid_parameter(FieldError::parameter(name, detail))
}

/// A parameter that is misspelt must not be taken for one that was left out.
pub(super) fn unknown_parameter(name: &str) -> Problem {
    invalid_parameter(name, "is not a parameter of this resource")
}

pub(super) fn no_such_order() -> Problem {
    NO_SUCH_ORDER.with(NO_SUCH_ORDER.when)
}

/// Logs the cause, which stays with us.
pub(super) fn of_query(error: &QueryError) -> Problem {
    tracing::warn!(error = runtime::telemetry::chain(error), "query failed");
    Problem::unavailable("The read model cannot be queried now. Send the same request again.")
}
