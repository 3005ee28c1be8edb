//! Parked events as an operator sees them.

use diesel::sql_types::{Bool, Timestamptz};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, IntoSql, NullableExpressionMethods, QueryDsl, QueryResult,
    Queryable, Selectable, SelectableHelper,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::value::RawValue;
use service_kit::stored_time::StoredTime;

use self::schema::parked_events::dsl;

/// A parked event as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize)]
#[diesel(table_name = schema::parked_events, check_for_backend(diesel::pg::Pg))]
pub struct ParkedEvent {
    /// The id that it had in the outbox, or a negative one where another parked event had that id already.
    pub id: i64,
    /// Name of its kind.
    pub kind: String,
    /// Why it could not be projected when it was tried last.
    pub error: String,
    /// How often it has been tried.
    pub attempts: i32,
    /// When the transaction that wrote it began.
    pub created_at: StoredTime,
    /// When it was parked first.
    pub parked_at: StoredTime,
    /// When it is tried again; without one it waits for an operator.
    pub next_attempt_at: Option<StoredTime>,
    /// What it says, as it was written. As a string where it is not JSON to the letter, such as half of a surrogate pair.
    #[serde(serialize_with = "as_written")]
    pub payload: String,
}

fn as_written<S: serde::Serializer>(payload: &str, serializer: S) -> Result<S::Ok, S::Error> {
    match serde_json::from_str::<&RawValue>(payload) {
        Ok(json) => serde::Serialize::serialize(json, serializer),
        Err(_) => serializer.serialize_str(payload),
    }
}

/// Up to `limit` parked events whose ids come after `after`, by id.
///
/// # Errors
///
/// The database's.
pub async fn list(
    connection: &mut AsyncPgConnection,
    after: i64,
    limit: i64,
) -> QueryResult<Vec<ParkedEvent>> {
    let rows = dsl::parked_events
        .select(ParkedEvent::as_select())
        .filter(dsl::id.gt(after))
        .order(dsl::id)
        .limit(limit);
    RunQueryDsl::load(rows, connection).await
}

/// Which parked events an operator means.
#[derive(Debug, Clone)]
pub enum Which {
    /// All of them.
    All,
    /// Those with these ids; ids that are not there are left out.
    Ids(Vec<i64>),
}

impl Which {
    fn ids(&self) -> &[i64] {
        match self {
            Self::All => &[],
            Self::Ids(ids) => ids,
        }
    }

    fn all(&self) -> bool {
        matches!(self, Self::All)
    }
}

/// The parked events that are meant, by id.
///
/// # Errors
///
/// The database's.
pub async fn find(connection: &mut AsyncPgConnection, which: &Which) -> QueryResult<Vec<ParkedEvent>> {
    let meant = dsl::parked_events.filter(which.all().into_sql::<Bool>().or(dsl::id.eq_any(which.ids())));
    RunQueryDsl::load(meant.select(ParkedEvent::as_select()).order(dsl::id), connection).await
}

/// Has events tried again as soon as a projector looks, also those for which nothing more was to be tried. Returns their
/// ids.
///
/// # Errors
///
/// The database's.
pub async fn make_due(connection: &mut AsyncPgConnection, which: &Which) -> QueryResult<Vec<i64>> {
    let meant = dsl::parked_events.filter(which.all().into_sql::<Bool>().or(dsl::id.eq_any(which.ids())));
    let update = diesel::update(meant)
        .set(dsl::next_attempt_at.eq(diesel::dsl::now.into_sql::<Timestamptz>().nullable()));
    RunQueryDsl::get_results(update.returning(dsl::id), connection).await
}

/// Removes events for good, and returns them.
///
/// # Errors
///
/// The database's.
pub async fn discard(connection: &mut AsyncPgConnection, which: &Which) -> QueryResult<Vec<ParkedEvent>> {
    let meant = dsl::parked_events.filter(which.all().into_sql::<Bool>().or(dsl::id.eq_any(which.ids())));
    RunQueryDsl::get_results(diesel::delete(meant).returning(ParkedEvent::as_returning()), connection).await
}

pub(super) mod schema {
    diesel::table! {
        parked_events (id) {
            id -> BigInt,
            kind -> Text,
            // Read as it stands: PostgreSQL's json holds what serde_json refuses, and such payloads are parked.
            payload -> Text,
            created_at -> Timestamptz,
            parked_at -> Timestamptz,
            attempts -> Integer,
            error -> Text,
            next_attempt_at -> Nullable<Timestamptz>,
        }
    }
}
