//! What an operator does with the parked events of the claim. Each selection has its own statement, as in
//! `of_subscription`.

use diesel::QueryResult;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;
use service_kit::stored_time::StoredTime;

use super::operator::{ParkedEvent, Selection};

/// Up to `limit` parked events with ids above `after`, by id.
pub(super) async fn list(
    connection: &mut AsyncPgConnection,
    after: i64,
    limit: i64,
) -> QueryResult<Vec<ParkedEvent>> {
    events(RunQueryDsl::load(ListOf { after, limit }, connection).await)
}

pub(super) async fn find(
    connection: &mut AsyncPgConnection,
    selection: &Selection,
) -> QueryResult<Vec<ParkedEvent>> {
    match selection {
        Selection::All => list(connection, i64::MIN, i64::MAX).await,
        Selection::Ids(ids) => {
            let mut found = events(RunQueryDsl::load(FindOf { ids: ids.clone() }, connection).await)?;
            found.sort_unstable_by_key(|event| event.id);
            Ok(found)
        }
    }
}

pub(super) async fn make_due(
    connection: &mut AsyncPgConnection,
    selection: &Selection,
) -> QueryResult<Vec<i64>> {
    match selection {
        Selection::All => RunQueryDsl::load(MakeAllDueOf {}, connection).await,
        Selection::Ids(ids) => RunQueryDsl::load(MakeDueOf { ids: ids.clone() }, connection).await,
    }
}

pub(super) async fn discard(
    connection: &mut AsyncPgConnection,
    selection: &Selection,
) -> QueryResult<Vec<ParkedEvent>> {
    match selection {
        Selection::All => events(RunQueryDsl::load(DiscardAllOf {}, connection).await),
        Selection::Ids(ids) => events(RunQueryDsl::load(DiscardOf { ids: ids.clone() }, connection).await),
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

statement! {
    struct ListOf = "list_of_claim.sql" -> RowTypes {
        after: i64 as BigInt,
        limit: i64 as BigInt,
    }
}

statement! {
    struct FindOf = "find_of_claim.sql" -> RowTypes {
        ids: Vec<i64> as Array<BigInt>,
    }
}

statement! {
    struct MakeAllDueOf = "make_all_due_of_claim.sql" -> BigInt {}
}

statement! {
    struct MakeDueOf = "make_due_of_claim.sql" -> BigInt {
        ids: Vec<i64> as Array<BigInt>,
    }
}

statement! {
    struct DiscardAllOf = "discard_all_of_claim.sql" -> RowTypes {}
}

statement! {
    struct DiscardOf = "discard_of_claim.sql" -> RowTypes {
        ids: Vec<i64> as Array<BigInt>,
    }
}
