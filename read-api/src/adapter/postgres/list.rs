//! Pages of customers' orders.

use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::TryStreamExt;
use uuid::Uuid;

use super::row::{COLUMNS, Columns, Row, summary};
use crate::model::{OrderSummary, Page, PageRequest, Position};

/// The pages of many requests at once, in the order of the requests, whose filters name no status. It locks nothing.
pub(super) async fn pages(
    connection: &mut AsyncPgConnection,
    requests: Arc<Vec<PageRequest>>,
) -> QueryResult<Vec<Page>> {
    // One by one into their lists: gathering the rows of all lists first took a twentieth more of a request's time.
    let mut rows = RunQueryDsl::load_stream::<(i64, Row)>(Pages::of(&requests), connection).await?;
    let mut lists: Vec<(Arc<str>, Vec<OrderSummary>)> = requests
        .iter()
        .map(|request| (request.customer_id.as_str().into(), Vec::with_capacity(rows_for(request).into())))
        .collect();
    while let Some((number, row)) = rows.try_next().await? {
        let index = usize::try_from(number - 1).unwrap_or(usize::MAX);
        if let Some((customer_id, list)) = lists.get_mut(index) {
            list.push(summary(Arc::clone(customer_id), row));
        }
    }
    Ok(lists
        .into_iter()
        .zip(requests.iter())
        .map(|((_, list), request)| Page::of(list, request.limit))
        .collect())
}

/// The page of one request whose filter names statuses. All of the customer's orders are passed in the index until the page is
/// full, which may take long where few have the status: such a request shares its statement with no other.
pub(super) async fn page_by_status(
    connection: &mut AsyncPgConnection,
    request: PageRequest,
) -> QueryResult<Page> {
    let rows: Vec<Row> = RunQueryDsl::load(ByStatus::of(&request), connection).await?;
    let customer_id: Arc<str> = request.customer_id.into();
    let orders = rows.into_iter().map(|row| summary(Arc::clone(&customer_id), row)).collect();
    Ok(Page::of(orders, request.limit))
}

/// One more than the page holds: whether there is a next one.
fn rows_for(request: &PageRequest) -> u16 {
    u16::from(request.limit) + 1
}

/// The range of positions that a page is taken from: it begins behind `before`, and no order is placed earlier than `since`.
struct Bounds {
    before: Position,
    since: DateTime<Utc>,
}

/// Where there is no lower bound: PostgreSQL's calendar begins here, in 4714 BC. It refuses earlier times, which chrono has.
const FIRST_DAY: NaiveDate = match NaiveDate::from_ymd_opt(-4713, 11, 24) {
    Some(day) => day,
    None => NaiveDate::MIN,
};

impl Bounds {
    fn of(request: &PageRequest) -> Self {
        let Range { start, end } = request.filter.placed_from..request.filter.placed_to;
        // No order comes before the nil id: behind (`placed_to`, nil) is what was placed earlier.
        let end = end.map(|placed_at| Position { placed_at, order_id: Uuid::nil() });
        let newest = Position { placed_at: DateTime::<Utc>::MAX_UTC, order_id: Uuid::max() };
        Self {
            before: request.after.or(end).unwrap_or(newest),
            since: start.unwrap_or_else(|| FIRST_DAY.and_time(NaiveTime::MIN).and_utc()),
        }
    }
}

/// One array a value, so that the text is the same for any number of requests and stays prepared.
struct Pages {
    customer_id: Vec<String>,
    rows: Vec<i64>,
    bounds: Option<PageBounds>,
}

#[derive(Default)]
struct PageBounds {
    before_placed_at: Vec<DateTime<Utc>>,
    before_order_id: Vec<Uuid>,
    since: Vec<DateTime<Utc>>,
}

impl Pages {
    /// Most requests are for a customer's newest orders. Where all of them are, nothing is compared with bounds, which took a
    /// tenth of PostgreSQL's time.
    fn of(requests: &[PageRequest]) -> Self {
        Self {
            customer_id: requests.iter().map(|request| request.customer_id.clone()).collect(),
            rows: requests.iter().map(|request| rows_for(request).into()).collect(),
            bounds: requests.iter().any(is_bounded).then(|| PageBounds::of(requests)),
        }
    }
}

fn is_bounded(PageRequest { filter, after, .. }: &PageRequest) -> bool {
    after.is_some() || filter.placed_from.is_some() || filter.placed_to.is_some()
}

impl PageBounds {
    fn of(requests: &[PageRequest]) -> Self {
        let mut bounds = Self::default();
        for Bounds { before, since } in requests.iter().map(Bounds::of) {
            bounds.before_placed_at.push(before.placed_at);
            bounds.before_order_id.push(before.order_id);
            bounds.since.push(since);
        }
        bounds
    }
}

/// There are two texts of it: its prepared statement is found by the text.
impl QueryId for Pages {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Pages {
    type SqlType = (BigInt, Columns);
}

impl QueryFragment<Pg> for Pages {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT r.number, ");
        out.push_sql(COLUMNS);
        out.push_sql(" FROM unnest(");
        out.push_bind_param::<Array<Text>, _>(&self.customer_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.rows)?;
        if let Some(bounds) = &self.bounds {
            out.push_sql(", ");
            out.push_bind_param::<Array<Timestamptz>, _>(&bounds.before_placed_at)?;
            out.push_sql(", ");
            out.push_bind_param::<Array<SqlUuid>, _>(&bounds.before_order_id)?;
            out.push_sql(", ");
            out.push_bind_param::<Array<Timestamptz>, _>(&bounds.since)?;
        }
        out.push_sql(") WITH ORDINALITY AS r(customer_id, rows, ");
        if self.bounds.is_some() {
            out.push_sql("before_placed_at, before_order_id, since, ");
        }
        out.push_sql("number) CROSS JOIN LATERAL (SELECT ");
        out.push_sql(COLUMNS);
        out.push_sql(" FROM order_summary o WHERE o.customer_id = r.customer_id");
        if self.bounds.is_some() {
            out.push_sql(
                " AND (o.placed_at, o.order_id) < (r.before_placed_at, r.before_order_id) AND o.placed_at >= r.since",
            );
        }
        out.push_sql(" ORDER BY o.placed_at DESC, o.order_id DESC LIMIT r.rows) AS o");
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for Pages {}

#[derive(QueryId)]
struct ByStatus {
    customer_id: String,
    bounds: Bounds,
    statuses: Vec<&'static str>,
    rows: i64,
}

impl ByStatus {
    fn of(request: &PageRequest) -> Self {
        Self {
            customer_id: request.customer_id.clone(),
            bounds: Bounds::of(request),
            statuses: request.filter.statuses.iter().map(|status| status.as_str()).collect(),
            rows: rows_for(request).into(),
        }
    }
}

impl Query for ByStatus {
    type SqlType = Columns;
}

impl QueryFragment<Pg> for ByStatus {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT ");
        out.push_sql(COLUMNS);
        out.push_sql(" FROM order_summary o WHERE o.customer_id = ");
        out.push_bind_param::<Text, _>(&self.customer_id)?;
        out.push_sql(" AND (o.placed_at, o.order_id) < (");
        out.push_bind_param::<Timestamptz, _>(&self.bounds.before.placed_at)?;
        out.push_sql(", ");
        out.push_bind_param::<SqlUuid, _>(&self.bounds.before.order_id)?;
        out.push_sql(") AND o.placed_at >= ");
        out.push_bind_param::<Timestamptz, _>(&self.bounds.since)?;
        out.push_sql(" AND o.status = ANY(");
        out.push_bind_param::<Array<Text>, _>(&self.statuses)?;
        out.push_sql(") ORDER BY o.placed_at DESC, o.order_id DESC LIMIT ");
        out.push_bind_param::<BigInt, _>(&self.rows)?;
        Ok(())
    }
}

impl<Connection> diesel::RunQueryDsl<Connection> for ByStatus {}
