//! The problems of the feed: their types, and the errors that become problems.

use std::collections::BTreeMap;

use service_kit::openapi;
use service_kit::overload::OncePerSecond;
use service_kit::problem::{
    FieldError, HEAD_TOO_LARGE, HEAD_TOO_SLOW, INTERNAL, INVALID_PARAMETER, Problem, ProblemType, UNAVAILABLE,
};
use service_kit::telemetry::chain;
use utoipa::IntoResponses;
use utoipa::openapi::schema::{KnownFormat, Object, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Response};

use super::checkpoint::InvalidCheckpoint;
use super::feed::FeedError;
use super::page::PageError;
use super::reads::ReadError;

const BEYOND_FAILOVER: ProblemType = ProblemType {
    status: 409,
    slug: "checkpoint-beyond-failover",
    title: "Checkpoint beyond a failover",
    when: "A failover lost events that you have received. Undo what you did for events with a higher `position`, and \
        continue with `checkpoint` as `after`.",
};

const EXPIRED: ProblemType = ProblemType {
    status: 410,
    slug: "checkpoint-expired",
    title: "Checkpoint expired",
    when: "The log no longer has all events after `after`: you have missed some. Start again without `after`, and get \
        what you missed in another way.",
};

const NOT_LOGGED: ProblemType = ProblemType {
    status: 503,
    slug: "event-log-off",
    title: "Event log off",
    when: "An operator has switched the event log off, so there are no events to read.",
};

const INT64: SchemaFormat = SchemaFormat::KnownFormat(KnownFormat::Int64);

/// The problems of `GET /events`.
pub(super) struct FeedProblems;

impl IntoResponses for FeedProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut responses = openapi::responses(&[
            HEAD_TOO_LARGE,
            HEAD_TOO_SLOW,
            INVALID_PARAMETER,
            BEYOND_FAILOVER,
            EXPIRED,
            INTERNAL,
            UNAVAILABLE,
            NOT_LOGGED,
        ]);
        let text = Object::builder().schema_type(Type::String).description(Some("The log goes on after it."));
        openapi::add_member(&mut responses, BEYOND_FAILOVER, "checkpoint", text);
        let number = Object::builder().schema_type(Type::Integer).format(Some(INT64));
        let number = number.description(Some("Of the last event that is in the log."));
        openapi::add_member(&mut responses, BEYOND_FAILOVER, "position", number);
        responses
    }
}

impl From<FeedError> for Problem {
    fn from(error: FeedError) -> Self {
        match error {
            FeedError::Foreign => {
                Self::invalid_parameter(FieldError::parameter("after", InvalidCheckpoint.to_string()))
            }
            FeedError::BeyondFailover(last) => BEYOND_FAILOVER
                .with(format!("A failover lost the events after position {} that you have.", last.position))
                .with_member("checkpoint", last.to_string())
                .with_member("position", last.position),
            FeedError::Expired => EXPIRED.with(EXPIRED.when),
            FeedError::NotLogged => NOT_LOGGED.with(NOT_LOGGED.when),
            FeedError::OverShare(error) => error.into(),
            FeedError::TooManyWait => {
                busy("too many requests wait for events", "Too many requests wait for events.")
            }
            FeedError::Read(ReadError::Busy) | FeedError::Page(PageError::NoMemory) => {
                busy("too many requests read events", "Too many requests read events now.")
            }
            FeedError::Read(error) => {
                static FAILED: OncePerSecond = OncePerSecond::new();
                if let Some(times) = FAILED.count() {
                    tracing::warn!(times, error = chain(&error), "the feed cannot read the event log");
                }
                Self::unavailable("The event log cannot be read now. Send the same request again.")
            }
            FeedError::Page(error @ PageError::NotJson(_)) => {
                static FAILED: OncePerSecond = OncePerSecond::new();
                if let Some(times) = FAILED.count() {
                    tracing::error!(times, error = chain(&error), "the feed cannot send an event");
                }
                Self::internal()
            }
        }
    }
}

/// 503. Clients cause it, so it is no warning.
fn busy(log: &'static str, detail: &str) -> Problem {
    static REFUSED: OncePerSecond = OncePerSecond::new();
    if let Some(times) = REFUSED.count() {
        tracing::info!(times, "overloaded: {log}");
    }
    Problem::unavailable(format!("{detail} Send the same request again."))
}
