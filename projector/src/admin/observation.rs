//! The state of the outbox, the waiting and the parked events. Each table has a query of its own: a lock on one does
//! not hide the others.

use diesel::sql_types::{BigInt, Double, Integer, Nullable};
use diesel::{QueryResult, Queryable};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;

/// The events of the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Queryable)]
pub(super) struct Outbox {
    pub(super) events: i64,
    /// Age of the oldest; 0 if there is none.
    pub(super) oldest_seconds: f64,
}

/// The events whose row is locked.
#[derive(Debug, Clone, Copy, PartialEq, Queryable)]
pub(super) struct Waiting {
    /// Counted up to 100 000.
    pub(super) events: i64,
    /// Age of the oldest; 0 if there is none.
    pub(super) oldest_seconds: f64,
}

/// The parked events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable)]
pub(super) struct Parked {
    pub(super) retrying: i64,
    /// They have used up their attempts.
    pub(super) left_for_operator: i64,
}

/// What keeps vacuum busy.
#[derive(Debug, Clone, Copy, PartialEq, Queryable)]
pub(super) struct Server {
    /// Deleted events that vacuum has not removed yet, by PostgreSQL's statistics.
    pub(super) dead_rows: i64,
    /// Age of the oldest transaction; none if the role that ran the migrations may not see it.
    pub(super) oldest_transaction_seconds: Option<f64>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Events that are not projected yet, in the outbox and waiting.
    pub backlog: i64,
    /// Age of the oldest of them, in seconds; 0 if there is none.
    pub oldest_seconds: f64,
    /// Waiting events, counted up to 100 000.
    pub waiting: i64,
    /// Parked events that are retried automatically.
    pub parked_retrying: i64,
    /// Parked events that have used up their attempts and are left for an operator.
    pub parked_left_for_operator: i64,
    /// Age of the oldest transaction, which keeps vacuum from removing rows deleted since, in seconds; none if the role
    /// that ran the migrations may not see it.
    pub oldest_transaction_seconds: Option<f64>,
}

/// Queries all of it, or nothing. No event of the outbox has an id below `low_water_mark`.
pub async fn observe(connection: &mut AsyncPgConnection, low_water_mark: i64) -> QueryResult<Observation> {
    let (outbox, waiting) = (outbox(connection, low_water_mark).await?, waiting(connection).await?);
    let (parked, server) = (parked(connection).await?, server(connection).await?);
    Ok(Observation {
        backlog: outbox.events.saturating_add(waiting.events),
        oldest_seconds: outbox.oldest_seconds.max(waiting.oldest_seconds),
        waiting: waiting.events,
        parked_retrying: parked.retrying,
        parked_left_for_operator: parked.left_for_operator,
        oldest_transaction_seconds: server.oldest_transaction_seconds,
    })
}

pub(super) async fn outbox(connection: &mut AsyncPgConnection, low_water_mark: i64) -> QueryResult<Outbox> {
    RunQueryDsl::get_result(ObserveOutbox { low_water_mark }, connection).await
}

pub(super) async fn waiting(connection: &mut AsyncPgConnection) -> QueryResult<Waiting> {
    RunQueryDsl::get_result(ObserveWaiting {}, connection).await
}

pub(super) async fn parked(connection: &mut AsyncPgConnection) -> QueryResult<Parked> {
    RunQueryDsl::get_result(ObserveParked {}, connection).await
}

pub(super) async fn server(connection: &mut AsyncPgConnection) -> QueryResult<Server> {
    RunQueryDsl::get_result(ObserveServer {}, connection).await
}

/// Whether the database replies.
pub(super) async fn ping(connection: &mut AsyncPgConnection) -> QueryResult<i32> {
    RunQueryDsl::get_result(Ping {}, connection).await
}

statement! {
    struct ObserveOutbox = "observe_outbox.sql" -> (BigInt, Double) {
        low_water_mark: i64 as BigInt,
    }
}

statement! {
    struct ObserveWaiting = "observe_waiting.sql" -> (BigInt, Double) {}
}

statement! {
    struct ObserveParked = "observe_parked.sql" -> (BigInt, BigInt) {}
}

statement! {
    struct ObserveServer = "observe_server.sql" -> (BigInt, Nullable<Double>) {}
}

statement! {
    struct Ping = "ping.sql" -> Integer {}
}
