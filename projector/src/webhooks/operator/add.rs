//! Adding an endpoint.

use diesel::result::Error as DieselError;
use diesel::sql_types::{Array, BigInt, SmallInt, Text};
use diesel::{OptionalExtension, QueryResult};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use service_kit::statement;
use url::Url;

use super::super::endpoint::{Endpoint, Kinds};
use super::super::signature::Secret;
use super::AddSecret;
use crate::subscription::{self, Start};

/// What became of adding an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It has this id.
    Endpoint(i64),
    /// There are as many as there may be.
    TooMany,
    /// Events are not logged, so there is nothing to send.
    NotLogged,
}

/// Adds an endpoint that gets the events logged from now on, and those behind a hole that may still be filled.
pub async fn add(
    connection: &mut AsyncPgConnection,
    url: &Url,
    kinds: &Kinds,
    secret: &Secret,
) -> QueryResult<Added> {
    let added = connection.transaction(async |connection| {
        let free: Option<i16> = RunQueryDsl::get_result(FreeSlot {}, connection).await.optional()?;
        let Some(slot) = free else { return Ok(Added::TooMany) };
        let add = AddEndpoint { slot, url: url.as_str(), kinds: kinds.named().to_vec() };
        let added: Option<i64> = RunQueryDsl::get_result(add, connection).await.optional()?;
        let Some(endpoint) = added else { return Ok(Added::TooMany) };
        RunQueryDsl::execute(AddSecret { endpoint, secret: secret.bytes() }, connection).await?;
        if !subscription::create(connection, &Endpoint::subscription(endpoint), Start::Now).await? {
            return Err(DieselError::RollbackTransaction);
        }
        Ok(Added::Endpoint(endpoint))
    });
    match added.await {
        Err(DieselError::RollbackTransaction) => Ok(Added::NotLogged),
        added => added,
    }
}

statement! {
    struct FreeSlot = "free_slot.sql" -> SmallInt {}
}

statement! {
    struct AddEndpoint<'a> = "add_endpoint.sql" -> BigInt {
        slot: i16 as SmallInt,
        url: &'a str as Text,
        kinds: Vec<String> as Array<Text>,
    }
}
