//! Why a request of the operator's page is refused.

use service_kit::database::DatabaseError;
use service_kit::overload::OncePerSecond;
use service_kit::problem::{FieldError, Problem, ProblemType};
use service_kit::telemetry::chain;

pub(super) const NOT_LOCAL: ProblemType = ProblemType {
    status: 403,
    slug: "not-local",
    title: "Not from this machine",
    when: "The operator's page is for browsers on this machine: `Host` must be `localhost` or a loopback address, and \
        the request must not be from a web page of another site. From elsewhere, use a tunnel.",
};

pub(super) const ACTIONS_OFF: ProblemType = ProblemType {
    status: 403,
    slug: "actions-off",
    title: "Actions are off",
    when: "This page only shows. With `ADMIN_ACTIONS=on` it can act; `projector parked`, `projector subscriptions` and \
        `projector webhooks` always can.",
};

pub(super) const NOT_FROM_THE_PAGE: ProblemType = ProblemType {
    status: 403,
    slug: "not-from-the-page",
    title: "Not from the operator's page",
    when: "An action needs `X-Orders-Action: 1`, `Content-Type: application/json`, and no `Origin` but its own.",
};

pub(super) const INVALID_ACTION: ProblemType = ProblemType {
    status: 400,
    slug: "invalid-action",
    title: "Invalid action",
    when: "The body must name an action, and its id or name.",
};

pub(super) const UNKNOWN: ProblemType = ProblemType {
    status: 404,
    slug: "unknown-id",
    title: "Unknown id",
    when: "There is nothing with this id or name any more. Nothing was done.",
};

pub(super) const REFUSED: ProblemType = ProblemType {
    status: 409,
    slug: "action-refused",
    title: "Action refused",
    when: "The state does not allow this action. Nothing was done.",
};

pub(super) const OUTCOME_UNKNOWN: ProblemType = ProblemType {
    status: 504,
    slug: "outcome-unknown",
    title: "Outcome unknown",
    when: "The database did not respond: the action may have been done.",
};

/// The rules are those of the parameters of the public APIs.
pub(super) fn parameter(name: &str, rule: &str) -> Problem {
    Problem::invalid_parameter(FieldError::parameter(name, rule.to_owned()))
}

/// What the page shows when it cannot be queried.
pub(super) fn unavailable(error: &DatabaseError) -> Problem {
    static FAILED: OncePerSecond = OncePerSecond::new();
    if let Some(times) = FAILED.count() {
        tracing::warn!(times, error = chain(error), "the operator's page cannot query the database");
    }
    Problem::unavailable("The database cannot be queried now.")
}

/// What the page shows when an action failed, for which the log has the cause.
pub(super) fn failed(error: &(dyn std::error::Error + 'static), problem: Problem) -> Problem {
    static FAILED: OncePerSecond = OncePerSecond::new();
    if let Some(times) = FAILED.count() {
        tracing::warn!(times, error = chain(error), "an action of the operator's page failed");
    }
    problem
}
