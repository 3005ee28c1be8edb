//! Pages of lists.

use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use diesel::QueryResult;
use diesel::sql_types::{Array, BigInt, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::{TryStream, TryStreamExt};
use service_kit::statement;
use uuid::Uuid;

use super::detail::has_version;
use super::list_of_all::page_of_all;
use super::row::{Columns, Row, summary};
use crate::model::{Filter, ListPosition, ListRequest, OrderSummary, Page, PageRequest, WantedVersion};

/// The page of one request. It takes no row locks.
pub(super) async fn page(connection: &mut AsyncPgConnection, request: ListRequest) -> QueryResult<Page> {
    match request {
        ListRequest::OfAll(request) => page_of_all(connection, request).await,
        ListRequest::OfCustomer(request) if !request.filter.statuses.is_empty() => {
            page_by_status(connection, request).await
        }
        ListRequest::OfCustomer(request) => {
            let limit = request.limit;
            let pages = pages(connection, Arc::new(vec![request])).await?;
            Ok(pages.into_iter().next().unwrap_or_else(|| Page::new(Vec::new(), limit)))
        }
    }
}

/// The page of one request; `None` if the server does not have the wanted version yet. The check comes first, on the
/// same connection: then the page shows at least what the check has seen. Another connection may lead to a standby
/// that lags, and so may another statement behind a pooler in statement mode, which is refused at the start.
pub(super) async fn page_at(
    connection: &mut AsyncPgConnection,
    request: ListRequest,
    wanted: WantedVersion,
) -> QueryResult<Option<Page>> {
    if !has_version(connection, wanted).await? {
        return Ok(None);
    }
    page(connection, request).await.map(Some)
}

/// The pages of many requests, in the order of the requests. Their filters must not name a status. It takes no row
/// locks.
pub(super) async fn pages(
    connection: &mut AsyncPgConnection,
    requests: Arc<Vec<PageRequest>>,
) -> QueryResult<Vec<Page>> {
    if requests.iter().any(is_bounded) {
        let rows = RunQueryDsl::load_stream::<NumberedRow>(Pages::new(&requests), connection).await?;
        collect(rows, &requests).await
    } else {
        let rows = RunQueryDsl::load_stream::<NumberedRow>(Newest::new(&requests), connection).await?;
        collect(rows, &requests).await
    }
}

/// The number of a request, from 1, and a row of its page.
type NumberedRow = (i64, Row);

/// Adds each row to its page as it arrives, which is faster than collecting all rows first.
async fn collect(
    mut rows: impl TryStream<Ok = NumberedRow, Error = diesel::result::Error> + Unpin,
    requests: &[PageRequest],
) -> QueryResult<Vec<Page>> {
    let mut lists: Vec<(Arc<str>, Vec<OrderSummary>)> = requests
        .iter()
        .map(|request| {
            (request.customer_id.as_str().into(), Vec::with_capacity(rows_for(request.limit).into()))
        })
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
        .map(|((_, list), request)| Page::new(list, request.limit))
        .collect())
}

/// The page of one request whose filter names statuses. It reads the customer's orders in index order until the page
/// is full. That takes long if few orders have the status, so such a request never shares a statement.
async fn page_by_status(connection: &mut AsyncPgConnection, request: PageRequest) -> QueryResult<Page> {
    let rows: Vec<Row> = RunQueryDsl::load(PageByStatus::new(&request), connection).await?;
    let customer_id: Arc<str> = request.customer_id.into();
    let orders = rows.into_iter().map(|row| summary(Arc::clone(&customer_id), row)).collect();
    Ok(Page::new(orders, request.limit))
}

/// One row more than a page holds: it shows that there is a next page.
pub(super) fn rows_for(limit: u8) -> u16 {
    u16::from(limit) + 1
}

/// The bounds of a page: its orders follow `before` in the list, and were placed at `placed_from` or later.
pub(super) struct Bounds {
    pub(super) before: ListPosition,
    pub(super) placed_from: DateTime<Utc>,
}

/// The lower bound if the filter has none: the start of PostgreSQL's calendar, 4714 BC. It rejects earlier times,
/// which chrono can express.
const FIRST_DAY: NaiveDate = match NaiveDate::from_ymd_opt(-4713, 11, 24) {
    Some(day) => day,
    None => NaiveDate::MIN,
};

impl Bounds {
    pub(super) fn new(filter: &Filter, after: Option<ListPosition>) -> Self {
        let Range { start, end } = filter.placed_from..filter.placed_to;
        // No id sorts before nil, so only orders placed before `placed_to` follow (`placed_to`, nil).
        let end = end.map(|placed_at| ListPosition { placed_at, order_id: Uuid::nil() });
        let newest = ListPosition { placed_at: DateTime::<Utc>::MAX_UTC, order_id: Uuid::max() };
        Self {
            before: after.or(end).unwrap_or(newest),
            placed_from: start.unwrap_or_else(|| FIRST_DAY.and_time(NaiveTime::MIN).and_utc()),
        }
    }
}

fn is_bounded(PageRequest { filter, after, .. }: &PageRequest) -> bool {
    after.is_some() || filter.placed_from.is_some() || filter.placed_to.is_some()
}

statement! {
    /// One array per column, so that the text is the same for any number of requests.
    struct Newest = "newest.sql" -> (BigInt, Columns) {
        customer_id: Vec<String> as Array<Text>,
        rows: Vec<i64> as Array<BigInt>,
    }
}

impl Newest {
    fn new(requests: &[PageRequest]) -> Self {
        Self {
            customer_id: requests.iter().map(|request| request.customer_id.clone()).collect(),
            rows: requests.iter().map(|request| rows_for(request.limit).into()).collect(),
        }
    }
}

statement! {
    /// One array per column, so that the text is the same for any number of requests.
    #[derive(Default)]
    struct Pages = "pages.sql" -> (BigInt, Columns) {
        customer_id: Vec<String> as Array<Text>,
        rows: Vec<i64> as Array<BigInt>,
        before_placed_at: Vec<DateTime<Utc>> as Array<Timestamptz>,
        before_order_id: Vec<Uuid> as Array<SqlUuid>,
        placed_from: Vec<DateTime<Utc>> as Array<Timestamptz>,
    }
}

impl Pages {
    fn new(requests: &[PageRequest]) -> Self {
        let mut pages = Self::default();
        for request in requests {
            let Bounds { before, placed_from } = Bounds::new(&request.filter, request.after);
            pages.customer_id.push(request.customer_id.clone());
            pages.rows.push(rows_for(request.limit).into());
            pages.before_placed_at.push(before.placed_at);
            pages.before_order_id.push(before.order_id);
            pages.placed_from.push(placed_from);
        }
        pages
    }
}

statement! {
    struct PageByStatus = "page_by_status.sql" -> Columns {
        customer_id: String as Text,
        before_placed_at: DateTime<Utc> as Timestamptz,
        before_order_id: Uuid as SqlUuid,
        placed_from: DateTime<Utc> as Timestamptz,
        statuses: Vec<&'static str> as Array<Text>,
        rows: i64 as BigInt,
    }
}

impl PageByStatus {
    fn new(request: &PageRequest) -> Self {
        let Bounds { before, placed_from } = Bounds::new(&request.filter, request.after);
        Self {
            customer_id: request.customer_id.clone(),
            before_placed_at: before.placed_at,
            before_order_id: before.order_id,
            placed_from,
            statuses: request.filter.statuses.iter().map(|status| status.as_str()).collect(),
            rows: rows_for(request.limit).into(),
        }
    }
}
