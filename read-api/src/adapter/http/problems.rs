//! The problems of the read side: their types, and the errors that become problems.

use std::collections::BTreeMap;
use std::error::Error;

use service_kit::database::DatabaseError;
use service_kit::openapi;
use service_kit::overload::OncePerSecond;
use service_kit::problem::{
    FieldError, HEAD_TOO_LARGE, HEAD_TOO_SLOW, INTERNAL, INVALID_PARAMETER, Problem, ProblemType, UNAVAILABLE,
};
use utoipa::IntoResponses;
use utoipa::openapi::{RefOr, Response};

use crate::live::SubscribeError;
use crate::port::QueryError;
use crate::version_wait::WaitError;

const NO_SUCH_ORDER: ProblemType = ProblemType {
    status: 404,
    slug: "no-such-order",
    title: "No such order",
    when: "There is no order with this id, or it has not been projected yet.",
};

const PROJECTION_BEHIND: ProblemType = ProblemType {
    status: 503,
    slug: "projection-behind",
    title: "Projection behind",
    when: "The read side does not have the version in `min_version` or `after` yet. Repeat the request after \
        `Retry-After`.",
};

/// The problems of `GET /customers/{customer_id}/orders/stream`.
pub(super) struct StreamProblems;

impl IntoResponses for StreamProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        openapi::responses(&[HEAD_TOO_LARGE, HEAD_TOO_SLOW, INVALID_PARAMETER, INTERNAL, UNAVAILABLE])
    }
}

/// The problems of lists.
pub(super) struct ListProblems;

impl IntoResponses for ListProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        openapi::responses(&[
            HEAD_TOO_LARGE,
            HEAD_TOO_SLOW,
            INVALID_PARAMETER,
            INTERNAL,
            UNAVAILABLE,
            PROJECTION_BEHIND,
        ])
    }
}

/// The problems of `GET /orders/{order_id}`.
pub(super) struct OrderProblems;

impl IntoResponses for OrderProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        openapi::responses(&[
            HEAD_TOO_LARGE,
            HEAD_TOO_SLOW,
            INVALID_PARAMETER,
            NO_SUCH_ORDER,
            INTERNAL,
            UNAVAILABLE,
            PROJECTION_BEHIND,
        ])
    }
}

pub(super) fn invalid_parameter(name: &str, detail: impl Into<String>) -> Problem {
    Problem::invalid_parameter(FieldError::parameter(name, detail))
}

/// A misspelt parameter must not be ignored: the client would get the wrong list.
pub(super) fn unknown_parameter(known: &[&str]) -> Problem {
    Problem::invalid_parameter(FieldError::unknown_parameter(known))
}

pub(super) fn no_such_order() -> Problem {
    NO_SUCH_ORDER.with(NO_SUCH_ORDER.when)
}

impl From<QueryError> for Problem {
    /// Logs the cause, which clients do not see.
    fn from(error: QueryError) -> Self {
        static OVERLOADED: OncePerSecond = OncePerSecond::new();
        static FAILED: OncePerSecond = OncePerSecond::new();
        if is_overload(&error) {
            if let Some(times) = OVERLOADED.count() {
                tracing::info!(times, "overloaded: no connection to the database was free in time");
            }
        } else if let Some(times) = FAILED.count() {
            tracing::warn!(times, error = service_kit::telemetry::chain(&error), "query failed");
        }
        Self::unavailable("The read model cannot be queried now. Send the same request again.")
    }
}

fn is_overload(QueryError(cause): &QueryError) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(cause.as_ref());
    while let Some(error) = next {
        if error.downcast_ref::<DatabaseError>().is_some_and(DatabaseError::is_overload) {
            return true;
        }
        next = error.source();
    }
    false
}

impl From<WaitError> for Problem {
    fn from(error: WaitError) -> Self {
        match error {
            WaitError::Behind { min_version } => PROJECTION_BEHIND
                .with(format!("The read side does not have version {min_version} of the order yet.")),
            WaitError::Query(error) => error.into(),
            WaitError::OverShare(error) => error.into(),
            WaitError::TooMany => {
                static REFUSED: OncePerSecond = OncePerSecond::new();
                if let Some(times) = REFUSED.count() {
                    tracing::info!(
                        times,
                        "overloaded: too many requests are waiting for a version of an order"
                    );
                }
                Self::unavailable(
                    "Too many requests are waiting for a version of an order. Send the same request again.",
                )
            }
        }
    }
}

impl From<SubscribeError> for Problem {
    fn from(error: SubscribeError) -> Self {
        match error {
            SubscribeError::Query(error) => error.into(),
            SubscribeError::Full => {
                static REFUSED: OncePerSecond = OncePerSecond::new();
                if let Some(times) = REFUSED.count() {
                    tracing::info!(times, "overloaded: too many streams, or the process is stopping");
                }
                Self::unavailable("Too many streams are open. Send the same request again.")
            }
        }
    }
}
