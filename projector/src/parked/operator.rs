//! What an operator does with parked events.

use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz};
use diesel::{QueryResult, Queryable};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::value::RawValue;
use service_kit::statement;
use service_kit::stored_time::StoredTime;

/// A parked event.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, serde::Serialize)]
pub struct ParkedEvent {
    /// Its outbox id, or a negative id if another parked event had that one already.
    pub id: i64,
    /// The name of its kind.
    pub kind: String,
    /// Why its last attempt failed.
    pub error: String,
    /// How often it has been tried.
    pub attempts: i32,
    /// When the transaction that wrote it began.
    pub created_at: StoredTime,
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

/// The columns of a [`ParkedEvent`].
type Row = (BigInt, Text, Text, Integer, Timestamptz, Timestamptz, Nullable<Timestamptz>, Text);

/// Which parked events a command is for.
#[derive(Debug, Clone)]
pub enum Selection {
    /// All of them.
    All,
    /// Those with these ids. Ids that are not parked are ignored.
    Ids(Vec<i64>),
}

impl Selection {
    fn ids(&self) -> Vec<i64> {
        match self {
            Self::All => Vec::new(),
            Self::Ids(ids) => ids.clone(),
        }
    }

    fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }
}

/// Up to `limit` parked events with ids above `after`, by id.
pub async fn list(
    connection: &mut AsyncPgConnection,
    after: i64,
    limit: i64,
) -> QueryResult<Vec<ParkedEvent>> {
    RunQueryDsl::load(ListParked { after, limit }, connection).await
}

/// The selected events, by id.
pub async fn find(
    connection: &mut AsyncPgConnection,
    selection: &Selection,
) -> QueryResult<Vec<ParkedEvent>> {
    let find = FindParked { is_all: selection.is_all(), ids: selection.ids() };
    RunQueryDsl::load(find, connection).await
}

/// Makes the selected events due now, also those that are left for an operator. Returns their ids.
pub async fn make_due(connection: &mut AsyncPgConnection, selection: &Selection) -> QueryResult<Vec<i64>> {
    let make_due = MakeParkedDue { is_all: selection.is_all(), ids: selection.ids() };
    RunQueryDsl::load(make_due, connection).await
}

/// Deletes the selected events, and returns them.
pub async fn discard(
    connection: &mut AsyncPgConnection,
    selection: &Selection,
) -> QueryResult<Vec<ParkedEvent>> {
    let discard = DiscardParked { is_all: selection.is_all(), ids: selection.ids() };
    RunQueryDsl::load(discard, connection).await
}

statement! {
    struct ListParked = "list_parked.sql" -> Row {
        after: i64 as BigInt,
        limit: i64 as BigInt,
    }
}

statement! {
    struct FindParked = "find_parked.sql" -> Row {
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
    struct DiscardParked = "discard_parked.sql" -> Row {
        is_all: bool as Bool,
        ids: Vec<i64> as Array<BigInt>,
    }
}
