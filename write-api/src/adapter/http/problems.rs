//! Problem types of the write side, and how errors of commands become problem documents.

use std::collections::BTreeMap;

use service_kit::openapi;
use service_kit::overload::OncePerSecond;
use service_kit::problem::{
    FieldError, HEAD_TOO_LARGE, HEAD_TOO_SLOW, INTERNAL, INVALID_PARAMETER, Problem, ProblemType, UNAVAILABLE,
};
use utoipa::IntoResponses;
use utoipa::openapi::{RefOr, Response};
use uuid::Uuid;

use super::if_match::IfMatchHeader;
use crate::command::{ChangeStatusError, PlaceOrderError};
use crate::domain::{ContentDifference, Detail};
use crate::port::WriteError;

macro_rules! problem_types {
    ($($name:ident = $status:literal $slug:literal, $title:literal, $when:literal;)*) => {
        $(pub(super) const $name: ProblemType =
            ProblemType { status: $status, slug: $slug, title: $title, when: $when };)*
    };
}

problem_types! {
    MALFORMED_BODY = 400 "malformed-body", "Malformed body",
        "The body is not JSON, has an unknown field, or has a value of the wrong type.";
    TWO_IDENTITIES = 400 "two-identities", "Two identities",
        "The request has both an `order_id` and an `Idempotency-Key`. Send one of them, the same one with each repeat.";
    NO_SUCH_ORDER = 404 "no-such-order", "No such order", "No order has this id.";
    BODY_TOO_SLOW = 408 "body-too-slow", "Body too slow", "The body did not arrive within 5 seconds.";
    STEP_FORBIDDEN = 409 "step-forbidden", "Step forbidden",
        "The order's status does not allow this step; `detail` names both statuses.";
    DETAILS_DIFFER = 409 "details-differ", "Details differ",
        "The order has taken this step with other details; `errors` names them. It was not changed.";
    EDIT_CONFLICT = 409 "edit-conflict", "Edit conflict",
        "Other requests changed the order each time that write-api tried. Read the order, then decide again.";
    VERSION_MISMATCH = 412 "version-mismatch", "Version mismatch",
        "`If-Match` does not name the order's version.";
    BODY_TOO_LARGE = 413 "body-too-large", "Body too large", "The body is larger than 1 MiB.";
    UNSUPPORTED_MEDIA_TYPE = 415 "unsupported-media-type", "Unsupported media type",
        "The body is not `application/json`, or is compressed.";
    INVALID_BODY = 422 "invalid-body", "Invalid body",
        "Values in the body break the rules listed in `errors`. Nothing was stored.";
    ORDER_ID_TAKEN = 422 "order-id-taken", "Order id taken",
        "Another order, with a different customer, items or currency, has this `order_id`. It was not changed.";
    IDEMPOTENCY_KEY_REUSED = 422 "idempotency-key-reused", "Idempotency key reused",
        "This customer used the `Idempotency-Key` for other items or another currency. That order was not changed.";
    OUTCOME_UNKNOWN = 503 "outcome-unknown", "Outcome unknown",
        "write-api sent the write to the database, but could not find out in time whether it was stored; `detail` \
         says how to resolve it. \
         If the request identifies its order, send the same request again.";
}

/// Problems of every request that has a body and stores something.
const COMMON: [ProblemType; 11] = [
    HEAD_TOO_LARGE,
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
        let own = [NO_SUCH_ORDER, STEP_FORBIDDEN, DETAILS_DIFFER, EDIT_CONFLICT, VERSION_MISMATCH];
        openapi::responses(&[COMMON.as_slice(), &own].concat())
    }
}

/// How a client resolves an unknown outcome if its request identifies the order.
const REPEAT_RESOLVES: &str = "Send the same request again to resolve it.";

/// How a request identifies the order that it places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// `order_id` in the body.
    OrderId,
    /// The `Idempotency-Key` header.
    Key,
    /// Not at all: the service generates the id.
    None,
}

/// Both identities are refused together: they name different orders, and a repeat might send only one of them.
pub(super) fn two_identities() -> Problem {
    TWO_IDENTITIES.with(TWO_IDENTITIES.when).at(vec![
        FieldError::header("Idempotency-Key", "must not be sent together with `order_id`"),
        FieldError::at("/order_id", "must not be sent together with `Idempotency-Key`"),
    ])
}

/// No memory is left for a body: it was not read, and nothing was stored.
pub(super) fn busy() -> Problem {
    WriteFailure { error: &WriteError::Busy, how_to_resolve: REPEAT_RESOLVES }.into()
}

/// Why an order was not placed, with how its request identified it.
pub(super) struct PlaceFailure {
    pub(super) error: PlaceOrderError,
    pub(super) identity: Identity,
    pub(super) order_id: Uuid,
}

impl From<PlaceFailure> for Problem {
    fn from(PlaceFailure { error, identity, order_id }: PlaceFailure) -> Self {
        match (error, identity) {
            (PlaceOrderError::IdTaken(difference), Identity::Key) => {
                let fault = FieldError::header("Idempotency-Key", "was used for another order");
                IDEMPOTENCY_KEY_REUSED.with(IDEMPOTENCY_KEY_REUSED.when).at([
                    Some(fault),
                    differing_content(difference),
                ]
                .into_iter()
                .flatten()
                .collect())
            }
            (PlaceOrderError::IdTaken(difference), _) => {
                let fault = FieldError::at("/order_id", "belongs to another order");
                ORDER_ID_TAKEN
                    .with(ORDER_ID_TAKEN.when)
                    .at([Some(fault), differing_content(difference)].into_iter().flatten().collect())
            }
            (PlaceOrderError::Write(error), Identity::None) => {
                // Without an identity, a repeat would place a second order.
                let how_to_resolve = format!(
                    "If it was, the order has the id {order_id}: check whether read-api has it before you send the \
                     request again. In future, send an `order_id` or an `Idempotency-Key`: then you can repeat the \
                     request safely."
                );
                WriteFailure { error: &error, how_to_resolve: &how_to_resolve }.into()
            }
            (PlaceOrderError::Write(error), _) => {
                WriteFailure { error: &error, how_to_resolve: REPEAT_RESOLVES }.into()
            }
        }
    }
}

/// The field that differs from the customer's own order. Nothing is said about an order of another customer.
fn differing_content(difference: ContentDifference) -> Option<FieldError> {
    let pointer = match difference {
        ContentDifference::Customer => return None,
        ContentDifference::Lines => "/items",
        ContentDifference::Currency => "/currency",
    };
    Some(FieldError::at(pointer, "differs from that order"))
}

/// Why an order did not take a step, with the condition of the request.
pub(super) struct StepFailure<'a> {
    pub(super) error: ChangeStatusError,
    pub(super) if_match: &'a IfMatchHeader,
}

impl From<StepFailure<'_>> for Problem {
    fn from(StepFailure { error, if_match }: StepFailure<'_>) -> Self {
        match error {
            ChangeStatusError::NotFound => NO_SUCH_ORDER.with(NO_SUCH_ORDER.when),
            ChangeStatusError::PreconditionFailed { current } => version_mismatch(current, if_match),
            ChangeStatusError::Forbidden { from, to } => {
                STEP_FORBIDDEN.with(format!("An order that is {from} cannot become {to}."))
            }
            ChangeStatusError::TakenWithOtherDetails { differing } => DETAILS_DIFFER
                .with(DETAILS_DIFFER.when)
                .at(differing.into_iter().map(differing_detail).collect()),
            ChangeStatusError::Contended => EDIT_CONFLICT.with(EDIT_CONFLICT.when),
            ChangeStatusError::Write(error) => {
                WriteFailure { error: &error, how_to_resolve: REPEAT_RESOLVES }.into()
            }
        }
    }
}

fn differing_detail(detail: Detail) -> FieldError {
    let pointer = match detail {
        Detail::Carrier => "/carrier",
        Detail::TrackingNumber => "/tracking_number",
        Detail::Reason => "/reason",
    };
    FieldError::at(pointer, "is not what the order has; leave it out to repeat the step")
}

fn version_mismatch(current: i32, if_match: &IfMatchHeader) -> Problem {
    let (hint, fault) = match if_match {
        IfMatchHeader::Valid { has_weak_tag: true, .. } => (
            format!(" Weak tags never match: send `\"{current}\"`, without the `W/`, for this version."),
            format!("has a weak tag, and weak tags never match; it does not name version \"{current}\""),
        ),
        IfMatchHeader::Malformed => (
            format!(" `If-Match` is malformed: it takes quoted tags, such as `\"{current}\"`."),
            format!("is not a list of quoted tags, so it does not name version \"{current}\""),
        ),
        IfMatchHeader::Absent | IfMatchHeader::Valid { .. } => {
            (String::new(), format!("does not name version \"{current}\""))
        }
    };
    VERSION_MISMATCH
        .with(format!("The order has version {current}.{hint}"))
        .at(vec![FieldError::header("If-Match", fault)])
}

/// A failed write, and how the client resolves an unknown outcome.
struct WriteFailure<'a> {
    error: &'a WriteError,
    how_to_resolve: &'a str,
}

impl From<WriteFailure<'_>> for Problem {
    /// Logs the cause and leaves it out of the problem: it is internal.
    fn from(WriteFailure { error, how_to_resolve }: WriteFailure<'_>) -> Self {
        let cause = service_kit::telemetry::chain(error);
        match error {
            WriteError::Busy => {
                static BUSY: OncePerSecond = OncePerSecond::new();
                if let Some(times) = BUSY.count() {
                    tracing::info!(times, "overloaded: write refused, the queue or its memory is full");
                }
                UNAVAILABLE
                    .with("Too many orders are waiting to be stored. Nothing was stored. Send the same request again.")
            }
            WriteError::Unavailable(_) => {
                static UNAVAILABLE_STORAGE: OncePerSecond = OncePerSecond::new();
                if let Some(times) = UNAVAILABLE_STORAGE.count() {
                    tracing::warn!(times, error = cause, "write failed: storage is unavailable");
                }
                UNAVAILABLE.with("Nothing was stored. Send the same request again.")
            }
            WriteError::OutcomeUnknown(_) => {
                static UNKNOWN: OncePerSecond = OncePerSecond::new();
                if let Some(times) = UNKNOWN.count() {
                    tracing::warn!(times, error = cause, "it is not known whether a change was stored");
                }
                OUTCOME_UNKNOWN
                    .with(format!("It is not known whether the change was stored. {how_to_resolve}"))
            }
            WriteError::Refused(_) => {
                static REFUSED: OncePerSecond = OncePerSecond::new();
                if let Some(times) = REFUSED.count() {
                    tracing::error!(
                        times,
                        error = cause,
                        "request failed: PostgreSQL rejected the order, or the stored row is invalid"
                    );
                }
                Self::internal()
            }
        }
    }
}
