//! The problems of the write side: their types, and what becomes which.

use std::collections::BTreeMap;

use service_kit::openapi;
use service_kit::overload::OncePerSecond;
use service_kit::problem::{
    FieldError, HEAD_TOO_SLOW, INTERNAL, INVALID_PARAMETER, Problem, ProblemType, UNAVAILABLE,
};
use utoipa::IntoResponses;
use utoipa::openapi::{RefOr, Response};
use uuid::Uuid;

use super::if_match::IfMatchHeader;
use crate::command::{ChangeStatusError, PlaceOrderError};
use crate::port::WriteError;

macro_rules! problem_types {
    ($($name:ident = $status:literal $slug:literal, $title:literal, $when:literal;)*) => {
        $(pub(super) const $name: ProblemType =
            ProblemType { status: $status, slug: $slug, title: $title, when: $when };)*
    };
}

problem_types! {
    MALFORMED_BODY = 400 "malformed-body", "Malformed body",
        "The body is not JSON, has an unknown field, or a value of the wrong type.";
    TWO_IDENTITIES = 400 "two-identities", "Two identities",
        "The order is named by `order_id` and by `Idempotency-Key`. Send one of them, the same with each repeat.";
    NO_SUCH_ORDER = 404 "no-such-order", "No such order", "There is no order of this id.";
    BODY_TOO_SLOW = 408 "body-too-slow", "Body too slow", "The body did not arrive within 5 seconds.";
    STEP_FORBIDDEN = 409 "step-forbidden", "Step forbidden",
        "The order's status does not allow this step; `detail` names both states.";
    EDIT_CONFLICT = 409 "edit-conflict", "Edit conflict",
        "Others changed the order again and again while this was tried; look at it before you try once more.";
    VERSION_MISMATCH = 412 "version-mismatch", "Version mismatch",
        "The order has another version than `If-Match` names.";
    BODY_TOO_LARGE = 413 "body-too-large", "Body too large", "The body has more than 1 MiB.";
    UNSUPPORTED_MEDIA_TYPE = 415 "unsupported-media-type", "Unsupported media type",
        "The body is not `application/json`, or is compressed.";
    INVALID_BODY = 422 "invalid-body", "Invalid body",
        "Values break the rules named in `errors`, all that were found; nothing was stored.";
    ORDER_ID_TAKEN = 422 "order-id-taken", "Order id taken",
        "There is an order of this `order_id` with another customer or other items; it was left as it is.";
    IDEMPOTENCY_KEY_REUSED = 422 "idempotency-key-reused", "Idempotency key reused",
        "This customer has used the `Idempotency-Key` for other items; that order was left as it is.";
    OUTCOME_UNKNOWN = 503 "outcome-unknown", "Outcome unknown",
        "The connection to the database was lost at the wrong moment; `detail` says how to find out. A request that names its \
         order is sent again: that resolves it.";
}

/// What can be wrong with any request that has a body and stores something.
const COMMON: [ProblemType; 10] = [
    HEAD_TOO_SLOW,
    INVALID_PARAMETER,
    MALFORMED_BODY,
    BODY_TOO_SLOW,
    BODY_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    INVALID_BODY,
    INTERNAL,
    UNAVAILABLE,
    OUTCOME_UNKNOWN,
];

/// The problems of `POST /orders`.
pub(super) struct PlaceProblems;

impl IntoResponses for PlaceProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let own = [TWO_IDENTITIES, ORDER_ID_TAKEN, IDEMPOTENCY_KEY_REUSED];
        openapi::responses(&[COMMON.as_slice(), &own].concat())
    }
}

/// The problems of `POST /orders/{order_id}/<step>`.
pub(super) struct StepProblems;

impl IntoResponses for StepProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let own = [NO_SUCH_ORDER, STEP_FORBIDDEN, EDIT_CONFLICT, VERSION_MISMATCH];
        openapi::responses(&[COMMON.as_slice(), &own].concat())
    }
}

/// How the outcome of a request that names its order is learnt.
const REPEAT_RESOLVES: &str = "Send the same request again: that resolves it.";

/// By what a request names the order that it places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// `order_id` in the body.
    OrderId,
    /// The header `Idempotency-Key`.
    Key,
    /// Nothing: the id was made here.
    None,
}

/// The order of a repeat would depend on which of the two counts, so neither does.
pub(super) fn two_identities() -> Problem {
    TWO_IDENTITIES.with(TWO_IDENTITIES.when).at(vec![
        FieldError::header("Idempotency-Key", "must not be sent together with `order_id`"),
        FieldError::at("/order_id", "must not be sent together with `Idempotency-Key`"),
    ])
}

pub(super) fn of_placing(error: PlaceOrderError, identity: Identity, order_id: Uuid) -> Problem {
    match (error, identity) {
        (PlaceOrderError::IdTaken, Identity::Key) => IDEMPOTENCY_KEY_REUSED
            .with(IDEMPOTENCY_KEY_REUSED.when)
            .at(vec![FieldError::header("Idempotency-Key", "was used for other items")]),
        (PlaceOrderError::IdTaken, _) => ORDER_ID_TAKEN
            .with(ORDER_ID_TAKEN.when)
            .at(vec![FieldError::at("/order_id", "belongs to another order")]),
        (PlaceOrderError::Write(error), Identity::None) => {
            // A repeat would be another order.
            let resolve = format!(
                "The order would have the id {order_id}: ask read-api for it before you place another one. Orders with an \
                 `order_id` or an `Idempotency-Key` can be sent again instead."
            );
            of_write(&error, &resolve)
        }
        (PlaceOrderError::Write(error), _) => of_write(&error, REPEAT_RESOLVES),
    }
}

pub(super) fn of_change(error: ChangeStatusError, condition: &IfMatchHeader) -> Problem {
    match error {
        ChangeStatusError::NotFound => NO_SUCH_ORDER.with(NO_SUCH_ORDER.when),
        ChangeStatusError::PreconditionFailed { current } => version_mismatch(current, condition),
        ChangeStatusError::Forbidden { from, to } => {
            STEP_FORBIDDEN.with(format!("An order that is {from} cannot become {to}."))
        }
        ChangeStatusError::Contended => EDIT_CONFLICT.with(EDIT_CONFLICT.when),
        ChangeStatusError::Write(error) => of_write(&error, REPEAT_RESOLVES),
    }
}

fn version_mismatch(current: i32, condition: &IfMatchHeader) -> Problem {
    let (why, fault) = match condition {
        IfMatchHeader::Readable { has_weak_tag: true, .. } => (
            format!(" Weak tags never match: send `\"{current}\"`, without the `W/`, for this version."),
            format!("has a weak tag, and weak tags never match; it does not name version \"{current}\""),
        ),
        IfMatchHeader::Unreadable => (
            format!(" `If-Match` cannot be read: it takes tags in quotes, such as `\"{current}\"`."),
            format!("is no list of quoted tags, and so does not name version \"{current}\""),
        ),
        IfMatchHeader::Absent | IfMatchHeader::Readable { .. } => {
            (String::new(), format!("does not name version \"{current}\""))
        }
    };
    VERSION_MISMATCH
        .with(format!("The order has version {current}.{why}"))
        .at(vec![FieldError::header("If-Match", fault)])
}

/// There is no memory for a body: it was not read, and nothing was stored.
pub(super) fn busy() -> Problem {
    of_write(&WriteError::Busy, REPEAT_RESOLVES)
}

/// Logs the cause, which stays with us, and says what the client can do; `resolve` is how it learns an unknown outcome.
fn of_write(error: &WriteError, resolve: &str) -> Problem {
    let cause = service_kit::telemetry::chain(error);
    match error {
        WriteError::Busy => {
            static BUSY: OncePerSecond = OncePerSecond::new();
            if let Some(times) = BUSY.count() {
                tracing::info!(times, "overloaded: not stored, as too much is waiting");
            }
            UNAVAILABLE.with(
                "Too many orders are waiting to be stored; nothing was stored. Send the same request again.",
            )
        }
        WriteError::Unavailable(_) => {
            static UNSTORED: OncePerSecond = OncePerSecond::new();
            if let Some(times) = UNSTORED.count() {
                tracing::warn!(times, error = cause, "not stored: storage is unavailable");
            }
            UNAVAILABLE.with("Nothing was stored. Send the same request again.")
        }
        WriteError::OutcomeUnknown(_) => {
            static UNKNOWN: OncePerSecond = OncePerSecond::new();
            if let Some(times) = UNKNOWN.count() {
                tracing::warn!(times, error = cause, "may or may not be stored: no answer came");
            }
            OUTCOME_UNKNOWN.with(format!("The order may or may not be stored. {resolve}"))
        }
        WriteError::Refused(_) => {
            static REFUSED: OncePerSecond = OncePerSecond::new();
            if let Some(times) = REFUSED.count() {
                tracing::error!(times, error = cause, "not stored: storage refused what the domain accepts");
            }
            Problem::internal()
        }
    }
}
