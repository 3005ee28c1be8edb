//! The problems of the write side, one function a type.

use actix_web::http::StatusCode;
use runtime::problem::{FieldError, Problem};

use crate::port::WriteError;

pub(super) fn malformed_body(detail: impl Into<String>, place: Option<FieldError>) -> Problem {
    let errors = place.into_iter().collect();
    Problem::new(
        StatusCode::BAD_REQUEST,
        "malformed-body",
        "Malformed body",
        detail,
    )
    .with_errors(errors)
}

pub(super) fn invalid_order(errors: Vec<FieldError>) -> Problem {
    let detail = "The order breaks the rules named in `errors`; nothing was stored.";
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "invalid-order",
        "Invalid order",
        detail,
    )
    .with_errors(errors)
}

pub(super) fn order_id_taken() -> Problem {
    let detail = "There is an order of this id with another customer or other items; it was left as it is.";
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "order-id-taken",
        "Order id taken",
        detail,
    )
    .with_errors(vec![FieldError::at("/order_id", "belongs to another order")])
}

pub(super) fn body_too_large(limit: usize) -> Problem {
    let detail = format!("The body must have at most {limit} bytes.");
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body-too-large",
        "Body too large",
        detail,
    )
}

pub(super) fn body_too_slow() -> Problem {
    let detail = "The body did not arrive in time.";
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "body-too-slow",
        "Body too slow",
        detail,
    )
}

pub(super) fn unsupported_media_type() -> Problem {
    let detail = "The body must be `application/json`.";
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        "Unsupported media type",
        detail,
    )
}

/// Logs the cause, which stays with us, and says what the client can do.
pub(super) fn of_write(error: &WriteError) -> Problem {
    let cause = runtime::telemetry::chain(error);
    match error {
        WriteError::Unavailable(_) => {
            tracing::warn!(error = cause, "order not stored: storage is unavailable");
            Problem::unavailable("The order was not stored. Send the same request again.")
        }
        WriteError::OutcomeUnknown(_) => {
            tracing::warn!(
                error = cause,
                "order may or may not be stored: the connection was lost"
            );
            let detail =
                "The order may or may not be stored. Send the same request again, with the same `order_id`.";
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "outcome-unknown",
                "Outcome unknown",
                detail,
            )
            .retry_after(1)
        }
        WriteError::Refused(_) => {
            tracing::error!(
                error = cause,
                "order not stored: storage refused what the domain accepts"
            );
            Problem::internal()
        }
    }
}
