//! What an operator does with parked events.

use diesel::QueryResult;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::value::RawValue;
use service_kit::statement;
use service_kit::stored_time::StoredTime;

use super::of_subscription;

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

type Row = (i64, String, String, i32, StoredTime, StoredTime, Option<StoredTime>, String);
type RowTypes = (BigInt, Text, Text, Integer, Timestamptz, Timestamptz, Nullable<Timestamptz>, Text);

fn events(rows: QueryResult<Vec<Row>>) -> QueryResult<Vec<ParkedEvent>> {
    Ok(rows?.into_iter().map(event).collect())
}

fn event((id, kind, error, attempts, created_at, parked_at, next_attempt_at, payload): Row) -> ParkedEvent {
    ParkedEvent {
        id,
        position: None,
        kind,
        error,
        attempts,
        created_at: Some(created_at),
        recorded_at: None,
        parked_at,
        next_attempt_at,
        payload,
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

impl Selection {
    pub(super) fn ids(&self) -> Vec<i64> {
        match self {
            Self::All => Vec::new(),
            Self::Ids(ids) => ids.clone(),
        }
    }

    pub(super) fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }
}

/// Up to `limit` parked events with ids above `after`, by id.
pub async fn list(
    connection: &mut AsyncPgConnection,
    owner: &Owner,
    after: i64,
    limit: i64,
) -> QueryResult<Vec<ParkedEvent>> {
    match owner {
        Owner::Claim => events(RunQueryDsl::load(ListParked { after, limit }, connection).await),
        Owner::Subscription(name) => of_subscription::list(connection, name, after, limit).await,
    }
}

/// The selected events, by id.
pub async fn find(
    connection: &mut AsyncPgConnection,
    owner: &Owner,
    selection: &Selection,
) -> QueryResult<Vec<ParkedEvent>> {
    let (is_all, ids) = (selection.is_all(), selection.ids());
    match owner {
        Owner::Claim => events(RunQueryDsl::load(FindParked { is_all, ids }, connection).await),
        Owner::Subscription(name) => of_subscription::find(connection, name, selection).await,
    }
}

/// Makes the selected events due now, also those that are left for an operator. Returns their ids.
pub async fn make_due(
    connection: &mut AsyncPgConnection,
    owner: &Owner,
    selection: &Selection,
) -> QueryResult<Vec<i64>> {
    let (is_all, ids) = (selection.is_all(), selection.ids());
    match owner {
        Owner::Claim => RunQueryDsl::load(MakeParkedDue { is_all, ids }, connection).await,
        Owner::Subscription(name) => of_subscription::make_due(connection, name, selection).await,
    }
}

/// Deletes the selected events, and returns them.
pub async fn discard(
    connection: &mut AsyncPgConnection,
    owner: &Owner,
    selection: &Selection,
) -> QueryResult<Vec<ParkedEvent>> {
    let (is_all, ids) = (selection.is_all(), selection.ids());
    match owner {
        Owner::Claim => events(RunQueryDsl::load(DiscardParked { is_all, ids }, connection).await),
        Owner::Subscription(name) => of_subscription::discard(connection, name, selection).await,
    }
}

statement! {
    struct ListParked = "list_parked.sql" -> RowTypes {
        after: i64 as BigInt,
        limit: i64 as BigInt,
    }
}

statement! {
    struct FindParked = "find_parked.sql" -> RowTypes {
        is_all: bool as Bool,
        ids: Vec<i64> as Array<BigInt>,
    }
}

statement! {
    struct MakeParkedDue = "make_parked_due.sql" -> BigInt {
        is_all: bool as Bool,
        ids: Vec<i64> as Array<BigInt>,
    }
}

statement! {
    struct DiscardParked = "discard_parked.sql" -> RowTypes {
        is_all: bool as Bool,
        ids: Vec<i64> as Array<BigInt>,
    }
}
