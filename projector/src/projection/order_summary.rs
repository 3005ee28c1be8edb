//! `order_summary`: the newest state of each order, and its facts, in one flat row.

mod limits;
mod lock_rows;
mod rows_tried;
mod upsert;

use diesel::QueryResult;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use shared_events::OrderEvent;

use self::upsert::{Upsert, newest_positions};
use super::Projection;

/// Keeps `order_summary`. An event carries the order's whole state, so of the states only the newest version counts.
/// Facts are set once, so each counts in whichever event carries it.
pub struct OrderSummary;

impl Projection for OrderSummary {
    fn name(&self) -> &'static str {
        "order_summary"
    }

    fn refuses(&self, event: &OrderEvent) -> Option<String> {
        limits::first_violation(event)
    }

    fn lock_rows<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        events: &'a [&'a OrderEvent],
    ) -> BoxFuture<'a, QueryResult<Vec<usize>>> {
        lock_rows::lock_rows(connection, events).boxed()
    }

    fn rows_tried<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
    ) -> BoxFuture<'a, QueryResult<Option<i64>>> {
        rows_tried::rows_tried(connection).map(|rows| rows.map(Some)).boxed()
    }

    fn row_order(&self, events: &[&OrderEvent]) -> Vec<usize> {
        newest_positions(events)
    }

    fn apply<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        events: &'a [&'a OrderEvent],
    ) -> BoxFuture<'a, QueryResult<()>> {
        RunQueryDsl::execute(Upsert::new(events), connection).map(|written| written.map(drop)).boxed()
    }
}
