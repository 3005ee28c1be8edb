//! What an operator does with endpoints.

mod add;

use diesel::sql_types::{self, Array, BigInt, Binary, Integer, Nullable, Text, Timestamptz};
use diesel::{OptionalExtension, QueryResult, Queryable};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use service_kit::statement;
use service_kit::stored_time::StoredTime;
use uuid::Uuid;

pub use self::add::{Added, add};
use super::endpoint::Endpoint;
use super::signature::Secret;

/// An endpoint, as an operator sees it.
#[derive(Debug, Clone, Serialize, Queryable)]
pub struct EndpointStatus {
    /// Identifies it for good.
    pub id: i64,
    /// Where events are sent.
    pub url: String,
    /// Which kinds of events are sent; if none is named, all but `order_republished`.
    pub kinds: Vec<String>,
    /// `active` or `paused`.
    pub state: String,
    /// Why it is paused: `operator`, `gone` (the receiver responded with 410) or `nothing_succeeded`.
    pub paused_reason: Option<String>,
    /// When it was added.
    pub created_at: StoredTime,
    /// Requests that have failed since the last success.
    pub failures: i32,
    /// When the first of them failed.
    pub failing_since: Option<StoredTime>,
    /// Nothing is sent before this time.
    pub hold_until: Option<StoredTime>,
    /// Deliveries that wait, counted up to 10,001.
    pub waiting: i64,
    /// When the oldest of them was logged.
    pub oldest_waiting: Option<StoredTime>,
    /// Its parked events, counted up to 100,000: refused for too long, left out by `skip`, or without an id.
    pub parked: i64,
    /// The state of the subscription that feeds it: `running`, `paused` or `lost`; none if somebody has removed it.
    pub subscription_state: Option<String>,
    /// When the first event was logged that is not copied to its deliveries yet; none if all are.
    pub oldest_not_copied: Option<StoredTime>,
}

/// One request to an endpoint.
#[derive(Debug, Clone, Serialize, Queryable)]
pub struct PastAttempt {
    /// When its result was recorded.
    pub attempted_at: StoredTime,
    /// The event's position in the event log.
    pub position: i64,
    /// The event's id.
    pub event_id: Uuid,
    /// The HTTP status, if there was a response.
    pub status: Option<i32>,
    /// How long it took.
    pub latency_ms: i32,
    /// Why it failed; none if the receiver accepted it.
    pub error: Option<String>,
}

/// All endpoints, or only the one with this id.
pub async fn list(connection: &mut AsyncPgConnection, only: Option<i64>) -> QueryResult<Vec<EndpointStatus>> {
    RunQueryDsl::load(ListEndpoints { only, id: only }, connection).await
}

/// Up to `limit` attempts of `endpoint`, newest first.
pub async fn last_attempts(
    connection: &mut AsyncPgConnection,
    endpoint: i64,
    limit: i64,
) -> QueryResult<Vec<PastAttempt>> {
    RunQueryDsl::load(LastAttempts { endpoint, limit }, connection).await
}

/// Sends nothing more. Returns whether there is such an endpoint.
pub async fn pause(connection: &mut AsyncPgConnection, endpoint: i64) -> QueryResult<bool> {
    exists(RunQueryDsl::get_result(PauseEndpoint { endpoint }, connection).await)
}

/// Sends again, first all that waits. Returns whether there is such an endpoint.
pub async fn resume(connection: &mut AsyncPgConnection, endpoint: i64) -> QueryResult<bool> {
    exists(RunQueryDsl::get_result(ResumeEndpoint { endpoint }, connection).await)
}

/// Signs with `secret` from now on, and for `hours` with the previous one too. Returns whether there is such an
/// endpoint.
pub async fn rotate_secret(
    connection: &mut AsyncPgConnection,
    endpoint: i64,
    secret: &Secret,
    hours: i64,
) -> QueryResult<bool> {
    connection
        .transaction(async |connection| {
            let replace = ReplaceSecret { endpoint, hours };
            if !exists(RunQueryDsl::get_result(replace, connection).await)? {
                return Ok(false);
            }
            RunQueryDsl::execute(AddSecret { endpoint, secret: secret.bytes() }, connection).await?;
            Ok(true)
        })
        .await
}

/// Removes an endpoint and all that waits for it. Returns its URL.
pub async fn remove(connection: &mut AsyncPgConnection, endpoint: i64) -> QueryResult<Option<String>> {
    connection
        .transaction(async |connection| {
            // The endpoint first, as a sender that parks an event. The feeder has locked the subscription when it comes
            // to the endpoint, but waits for it only for a moment.
            let url = RunQueryDsl::get_result(RemoveEndpoint { endpoint }, connection).await.optional()?;
            let subscription = Endpoint::subscription(endpoint);
            let parked = RemoveParkedOfSubscription { subscription: &subscription };
            RunQueryDsl::execute(parked, connection).await?;
            RunQueryDsl::execute(RemoveSubscription { subscription: &subscription }, connection).await?;
            Ok(url)
        })
        .await
}

fn exists(found: QueryResult<i64>) -> QueryResult<bool> {
    Ok(found.optional()?.is_some())
}

statement! {
    struct AddSecret<'a> = "add_secret.sql" {
        endpoint: i64 as BigInt,
        secret: &'a [u8] as Binary,
    }
}

type StatusTypes = (
    BigInt,
    Text,
    Array<Text>,
    Text,
    Nullable<Text>,
    Timestamptz,
    Integer,
    Nullable<Timestamptz>,
    Nullable<Timestamptz>,
    BigInt,
    Nullable<Timestamptz>,
    BigInt,
    Nullable<Text>,
    Nullable<Timestamptz>,
);

statement! {
    struct ListEndpoints = "list_endpoints.sql" -> StatusTypes {
        only: Option<i64> as Nullable<BigInt>,
        id: Option<i64> as Nullable<BigInt>,
    }
}

type AttemptTypes = (Timestamptz, BigInt, sql_types::Uuid, Nullable<Integer>, Integer, Nullable<Text>);

statement! {
    struct LastAttempts = "last_attempts.sql" -> AttemptTypes {
        endpoint: i64 as BigInt,
        limit: i64 as BigInt,
    }
}

statement! {
    struct PauseEndpoint = "pause_endpoint.sql" -> BigInt {
        endpoint: i64 as BigInt,
    }
}

statement! {
    struct ResumeEndpoint = "resume_endpoint.sql" -> BigInt {
        endpoint: i64 as BigInt,
    }
}

statement! {
    struct ReplaceSecret = "replace_secret.sql" -> BigInt {
        endpoint: i64 as BigInt,
        hours: i64 as BigInt,
    }
}

statement! {
    struct RemoveSubscription<'a> = "remove_subscription.sql" {
        subscription: &'a str as Text,
    }
}

statement! {
    struct RemoveParkedOfSubscription<'a> = "remove_parked_of_subscription.sql" {
        subscription: &'a str as Text,
    }
}

statement! {
    struct RemoveEndpoint = "remove_endpoint.sql" -> Text {
        endpoint: i64 as BigInt,
    }
}
