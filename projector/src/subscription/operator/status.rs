//! What a subscription does now.

use diesel::sql_types::{BigInt, Double, Integer, Nullable, Text, Timestamptz};
use diesel::{OptionalExtension, QueryResult, Queryable};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;
use service_kit::stored_time::StoredTime;

/// What a subscription does now.
#[derive(Debug, Clone, PartialEq, Queryable, serde::Serialize)]
pub struct SubscriptionStatus {
    /// Its name.
    pub name: String,
    /// `running`, `paused`, or `lost`: events after the checkpoint are gone.
    pub state: String,
    /// All events up to this position have taken effect, or are parked.
    pub checkpoint: i64,
    /// The history in which the checkpoint was last moved.
    pub history: i64,
    /// Events in the log after the checkpoint; an estimate beyond 10 000.
    pub lag_events: i64,
    /// How long ago the first of them was logged; none if there is none.
    pub lag_seconds: Option<f64>,
    /// Failures in a row.
    pub failures: i32,
    /// When it is tried again after a failure.
    pub next_attempt_at: StoredTime,
    /// Why it failed last, or why it is lost.
    pub last_error: Option<String>,
    /// Parked events that are retried automatically, counted up to 100 000 together with the others.
    pub parked_retrying: i64,
    /// Parked events that are left for an operator.
    pub parked_left_for_operator: i64,
    /// When the subscription was created.
    pub created_at: StoredTime,
    /// When the checkpoint or the state was last changed.
    pub updated_at: StoredTime,
}

/// Up to `limit` subscriptions with names after this one, by name.
///
/// # Errors
///
/// The database's.
pub async fn list(
    connection: &mut AsyncPgConnection,
    after: &str,
    limit: i64,
) -> QueryResult<Vec<SubscriptionStatus>> {
    RunQueryDsl::load(ListSubscriptions { after, name: None, limit }, connection).await
}

/// The subscription with this name.
///
/// # Errors
///
/// The database's.
pub async fn find(connection: &mut AsyncPgConnection, name: &str) -> QueryResult<Option<SubscriptionStatus>> {
    let find = ListSubscriptions { after: "", name: Some(name), limit: 1 };
    RunQueryDsl::get_result(find, connection).await.optional()
}

type Row = (
    Text,
    Text,
    BigInt,
    BigInt,
    BigInt,
    Nullable<Double>,
    Integer,
    Timestamptz,
    Nullable<Text>,
    BigInt,
    BigInt,
    Timestamptz,
    Timestamptz,
);

statement! {
    struct ListSubscriptions<'a> = "list_subscriptions.sql" -> Row {
        after: &'a str as Text,
        name: Option<&'a str> as Nullable<Text>,
        limit: i64 as BigInt,
    }
}
