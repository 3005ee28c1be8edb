//! Pages of the orders of all customers.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::sql_types::{Array, BigInt, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::statement;
use uuid::Uuid;

use super::list::{Bounds, rows_for};
use super::row::{Columns, Row, summary};
use crate::model::{OrderStatus, Page, PageOfAllRequest};

/// The page of one request. It reads one row of each status, and then as many as the page shows.
pub(super) async fn page_of_all(
    connection: &mut AsyncPgConnection,
    request: PageOfAllRequest,
) -> QueryResult<Page> {
    let rows: Vec<(String, Row)> = RunQueryDsl::load(PageOfAll::new(&request), connection).await?;
    let orders = rows.into_iter().map(|(customer_id, row)| summary(customer_id.into(), row)).collect();
    Ok(Page::new(orders, request.limit))
}

statement! {
    struct PageOfAll = "page_of_all.sql" -> (Text, Columns) {
        statuses: Vec<&'static str> as Array<Text>,
        before_placed_at: DateTime<Utc> as Timestamptz,
        before_order_id: Uuid as SqlUuid,
        placed_from: DateTime<Utc> as Timestamptz,
        rows: i64 as BigInt,
    }
}

impl PageOfAll {
    fn new(PageOfAllRequest { filter, after, limit }: &PageOfAllRequest) -> Self {
        let Bounds { before, placed_from } = Bounds::new(filter, *after);
        let mut statuses: Vec<_> = filter.statuses.iter().map(|status| status.as_str()).collect();
        if statuses.is_empty() {
            statuses = OrderStatus::ALL.map(OrderStatus::as_str).to_vec();
        }
        Self {
            statuses,
            before_placed_at: before.placed_at,
            before_order_id: before.order_id,
            placed_from,
            rows: rows_for(*limit).into(),
        }
    }
}
