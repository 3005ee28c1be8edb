//! What an operator does with parked events.

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use serde_json::value::RawValue;
use service_kit::stored_time::StoredTime;

use super::{of_claim, of_subscription};

/// A parked event.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ParkedEvent {
    /// Its outbox id, or a negative id if another parked event had that one already; of a subscription: an id among its
    /// parked events.
    pub id: i64,
    /// Its position in the event log, if it is a subscription's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<i64>,
    /// The name of its kind.
    pub kind: String,
    /// Why its last attempt failed.
    pub error: String,
    /// How often it has been tried.
    pub attempts: i32,
    /// When the transaction that wrote it began; none if it is a subscription's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<StoredTime>,
    /// When it was logged, if it is a subscription's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<StoredTime>,
    /// When it was parked first.
    pub parked_at: StoredTime,
    /// When it is tried again; if there is none, it is left for an operator.
    pub next_attempt_at: Option<StoredTime>,
    /// Its payload, byte for byte. Serialized as a string if `serde_json` rejects what PostgreSQL accepts as JSON, such
    /// as half a surrogate pair.
    #[serde(serialize_with = "json_or_string")]
    pub payload: String,
}

fn json_or_string<S: serde::Serializer>(payload: &str, serializer: S) -> Result<S::Ok, S::Error> {
    match serde_json::from_str::<&RawValue>(payload) {
        Ok(json) => serde::Serialize::serialize(json, serializer),
        Err(_) => serializer.serialize_str(payload),
    }
}

/// Whose parked events a command is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// The read models of the claim.
    Claim,
    /// The subscription with this name.
    Subscription(String),
}

/// Which parked events a command is for.
#[derive(Debug, Clone)]
pub enum Selection {
    /// All of them.
    All,
    /// Those with these ids. Ids that are not parked are ignored.
    Ids(Vec<i64>),
}

/// Up to `limit` parked events with ids above `after`, by id.
pub async fn list(
    connection: &mut AsyncPgConnection,
    owner: &Owner,
    after: i64,
    limit: i64,
) -> QueryResult<Vec<ParkedEvent>> {
    match owner {
        Owner::Claim => of_claim::list(connection, after, limit).await,
        Owner::Subscription(name) => of_subscription::list(connection, name, after, limit).await,
    }
}

/// The selected events, by id.
pub async fn find(
    connection: &mut AsyncPgConnection,
    owner: &Owner,
    selection: &Selection,
) -> QueryResult<Vec<ParkedEvent>> {
    match owner {
        Owner::Claim => of_claim::find(connection, selection).await,
        Owner::Subscription(name) => of_subscription::find(connection, name, selection).await,
    }
}

/// Makes the selected events due now, also those that are left for an operator. Returns their ids.
pub async fn make_due(
    connection: &mut AsyncPgConnection,
    owner: &Owner,
    selection: &Selection,
) -> QueryResult<Vec<i64>> {
    match owner {
        Owner::Claim => of_claim::make_due(connection, selection).await,
        Owner::Subscription(name) => of_subscription::make_due(connection, name, selection).await,
    }
}

/// Deletes the selected events, and returns them.
pub async fn discard(
    connection: &mut AsyncPgConnection,
    owner: &Owner,
    selection: &Selection,
) -> QueryResult<Vec<ParkedEvent>> {
    match owner {
        Owner::Claim => of_claim::discard(connection, selection).await,
        Owner::Subscription(name) => of_subscription::discard(connection, name, selection).await,
    }
}
