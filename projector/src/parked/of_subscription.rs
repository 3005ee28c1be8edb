//! What an operator does with the parked events of a subscription: the same as with those of the claim. Each selection
//! has its own statement: no plan for "all, or these ids" searches by id.

use diesel::QueryResult;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;
use service_kit::stored_time::StoredTime;

use super::operator::{ParkedEvent, Selection};

/// Up to `limit` parked events of `subscription` with ids above `after`, by id.
pub(super) async fn list(
    connection: &mut AsyncPgConnection,
    subscription: &str,
    after: i64,
    limit: i64,
) -> QueryResult<Vec<ParkedEvent>> {
    events(RunQueryDsl::load(ListOf { subscription, after, limit }, connection).await)
}

pub(super) async fn find(
    connection: &mut AsyncPgConnection,
    subscription: &str,
    selection: &Selection,
) -> QueryResult<Vec<ParkedEvent>> {
    match selection {
        Selection::All => list(connection, subscription, i64::MIN, i64::MAX).await,
        Selection::Ids(ids) => {
            let mut found =
                events(RunQueryDsl::load(FindOf { subscription, ids: ids.clone() }, connection).await)?;
            found.sort_unstable_by_key(|event| event.id);
            Ok(found)
        }
    }
}

pub(super) async fn make_due(
    connection: &mut AsyncPgConnection,
    subscription: &str,
    selection: &Selection,
) -> QueryResult<Vec<i64>> {
    match selection {
        Selection::All => RunQueryDsl::load(MakeAllDueOf { subscription }, connection).await,
        Selection::Ids(ids) => {
            RunQueryDsl::load(MakeDueOf { subscription, ids: ids.clone() }, connection).await
        }
    }
}

pub(super) async fn discard(
    connection: &mut AsyncPgConnection,
    subscription: &str,
    selection: &Selection,
) -> QueryResult<Vec<ParkedEvent>> {
    match selection {
        Selection::All => events(RunQueryDsl::load(DiscardAllOf { subscription }, connection).await),
        Selection::Ids(ids) => {
            events(RunQueryDsl::load(DiscardOf { subscription, ids: ids.clone() }, connection).await)
        }
    }
}

type Row = (i64, i64, String, String, i32, StoredTime, StoredTime, Option<StoredTime>, String);
type RowTypes = (BigInt, BigInt, Text, Text, Integer, Timestamptz, Timestamptz, Nullable<Timestamptz>, Text);

fn events(rows: QueryResult<Vec<Row>>) -> QueryResult<Vec<ParkedEvent>> {
    Ok(rows?.into_iter().map(event).collect())
}

fn event(row: Row) -> ParkedEvent {
    let (id, position, kind, error, attempts, recorded_at, parked_at, next_attempt_at, payload) = row;
    ParkedEvent {
        id,
        position: Some(position),
        kind,
        error,
        attempts,
        created_at: None,
        recorded_at: Some(recorded_at),
        parked_at,
        next_attempt_at,
        payload,
    }
}

statement! {
    struct ListOf<'a> = "list_of_subscription.sql" -> RowTypes {
        subscription: &'a str as Text,
        after: i64 as BigInt,
        limit: i64 as BigInt,
    }
}

statement! {
    struct FindOf<'a> = "find_of_subscription.sql" -> RowTypes {
        ids: Vec<i64> as Array<BigInt>,
        subscription: &'a str as Text,
    }
}

statement! {
    struct MakeAllDueOf<'a> = "make_all_due_of_subscription.sql" -> BigInt {
        subscription: &'a str as Text,
    }
}

statement! {
    struct DiscardAllOf<'a> = "discard_all_of_subscription.sql" -> RowTypes {
        subscription: &'a str as Text,
    }
}

statement! {
    struct MakeDueOf<'a> = "make_due_of_subscription.sql" -> BigInt {
        ids: Vec<i64> as Array<BigInt>,
        subscription: &'a str as Text,
    }
}

statement! {
    struct DiscardOf<'a> = "discard_of_subscription.sql" -> RowTypes {
        ids: Vec<i64> as Array<BigInt>,
        subscription: &'a str as Text,
    }
}
