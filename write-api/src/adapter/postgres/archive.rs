//! Reads all orders page by page, and emits events about them.

use diesel::prelude::*;
use diesel::sql_types::{self, Array, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use service_kit::database::Database;
use service_kit::statement;
use shared_events::{EncodedEvent, OrderEvent};
use uuid::Uuid;

use super::row::OrderRow;
use super::schema::{orders, outbox};
use crate::domain::Order;
use crate::port::{ArchiveError, OrderArchive, Page, WhichOrders};

/// All orders in PostgreSQL. Reading locks nothing.
pub struct PgOrderArchive {
    database: Database,
}

impl PgOrderArchive {
    /// The orders of `database`.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    async fn read<T, W>(&self, work: W) -> Result<T, ArchiveError>
    where
        W: for<'c> Fn(&'c mut AsyncPgConnection) -> BoxFuture<'c, QueryResult<T>>,
    {
        self.database.read(work).await.map_err(|error| ArchiveError(error.into()))
    }

    /// The ids of the next orders, whichever are meant: a step's work is bounded, however rare those are.
    async fn next_ids(&self, after: Option<Uuid>, limit: i64) -> Result<Vec<Uuid>, ArchiveError> {
        self.read(|connection| {
            let mut ids =
                orders::table.select(orders::order_id).order(orders::order_id).limit(limit).into_boxed();
            if let Some(after) = after {
                ids = ids.filter(orders::order_id.gt(after));
            }
            ids.load(connection).boxed()
        })
        .await
    }
}

impl OrderArchive for PgOrderArchive {
    async fn estimate(&self) -> Result<u64, ArchiveError> {
        // PostgreSQL's own estimate, which costs nothing; -1 stands for a table that was never looked at.
        let estimate = "SELECT reltuples::bigint AS rows FROM pg_class WHERE oid = 'orders'::regclass";
        let estimate: Estimate =
            self.read(|connection| diesel::sql_query(estimate).get_result(connection).boxed()).await?;
        Ok(u64::try_from(estimate.rows).unwrap_or(0))
    }

    async fn page(
        &self,
        which: &WhichOrders,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Option<Page>, ArchiveError> {
        let ids = match which.order_id {
            Some(order_id) if after.is_none_or(|after| after < order_id) => vec![order_id],
            Some(_) => return Ok(None),
            None => self.next_ids(after, limit).await?,
        };
        let (Some(&first), Some(&last)) = (ids.as_slice().first(), ids.as_slice().last()) else {
            return Ok(None);
        };
        let rows: Vec<OrderRow> = self
            .read(|connection| {
                let mut meant = orders::table
                    .filter(orders::order_id.between(first, last))
                    .order(orders::order_id)
                    .select(OrderRow::as_select())
                    .into_boxed();
                if let Some(customer) = &which.customer {
                    meant = meant.filter(orders::customer_id.eq(customer.as_str().to_owned()));
                }
                if let Some(since) = which.since {
                    meant = meant.filter(orders::updated_at.ge(since));
                }
                meant.load(connection).boxed()
            })
            .await?;
        let (mut orders, mut corrupt) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows {
            let order_id = row.order_id();
            match Order::try_from(row) {
                Ok(order) => orders.push(order),
                Err(error) => corrupt.push((order_id, error.into())),
            }
        }
        Ok(Some(Page { orders, corrupt, looked_at: u64::try_from(ids.len()).unwrap_or(u64::MAX), last }))
    }

    async fn emit(&self, events: &[OrderEvent]) -> Result<(), ArchiveError> {
        let events = events.iter().map(OrderEvent::encode).collect::<Result<Vec<_>, _>>();
        let emit = Emit::of(events.map_err(|error| ArchiveError(error.into()))?);
        let emitted =
            self.database.write(|connection| RunQueryDsl::execute(emit.clone(), connection).boxed());
        emitted.await.map(drop).map_err(|error| ArchiveError(error.into()))
    }

    async fn backlog_exceeds(&self, limit: i64) -> Result<bool, ArchiveError> {
        // No more than one row beyond the limit is counted.
        let found: Option<i64> = self
            .read(|connection| {
                let one_more = outbox::table.select(outbox::id).offset(limit).limit(1);
                one_more.first(connection).map(OptionalExtension::optional).boxed()
            })
            .await?;
        Ok(found.is_some())
    }
}

#[derive(QueryableByName)]
struct Estimate {
    #[diesel(sql_type = sql_types::BigInt)]
    rows: i64,
}

statement! {
    /// Adds events to the outbox, all in one statement.
    #[derive(Clone)]
    struct Emit = "emit.sql" {
        kinds: Vec<&'static str> as Array<Text>,
        payloads: Vec<String> as Array<Text>,
    }
}

impl Emit {
    fn of(events: Vec<EncodedEvent>) -> Self {
        let (kinds, payloads) = events.into_iter().map(|event| (event.kind, event.payload)).unzip();
        Self { kinds, payloads }
    }
}
