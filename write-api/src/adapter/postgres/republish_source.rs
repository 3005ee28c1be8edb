//! Reads stored orders page by page, and writes republished events to the outbox.

use diesel::prelude::*;
use diesel::sql_types::{self, Array, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use service_kit::database::Database;
use service_kit::statement;
use shared_events::{EncodedEvent, OrderEvent};
use uuid::Uuid;

use super::emit_trace::EmitTrace;
use super::row::OrderRow;
use super::schema::{orders, outbox};
use crate::domain::Order;
use crate::port::{OrderFilter, Page, RepublishSource, RepublishSourceError};

/// The orders in PostgreSQL. Reading them takes no row locks.
pub struct PgRepublishSource {
    database: Database,
}

impl PgRepublishSource {
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    async fn read<T, W>(&self, work: W) -> Result<T, RepublishSourceError>
    where
        W: for<'c> Fn(&'c mut AsyncPgConnection) -> BoxFuture<'c, QueryResult<T>>,
    {
        self.database.read(work).await.map_err(|error| RepublishSourceError(error.into()))
    }

    /// The ids of the next orders, selected or not: this bounds the work of one step if few orders are selected.
    async fn next_ids(&self, after: Option<Uuid>, limit: i64) -> Result<Vec<Uuid>, RepublishSourceError> {
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

impl RepublishSource for PgRepublishSource {
    async fn estimate(&self) -> Result<u64, RepublishSourceError> {
        // The planner's estimate, without a scan. -1 means that the table was never vacuumed or analyzed.
        let estimate = "SELECT reltuples::bigint AS rows FROM pg_class WHERE oid = 'orders'::regclass";
        let estimate: Estimate =
            self.read(|connection| diesel::sql_query(estimate).get_result(connection).boxed()).await?;
        Ok(u64::try_from(estimate.rows).unwrap_or(0))
    }

    async fn page(
        &self,
        filter: &OrderFilter,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<Option<Page>, RepublishSourceError> {
        let ids = match filter.order_id {
            Some(order_id) if after.is_none_or(|after| after < order_id) => vec![order_id],
            Some(_) => return Ok(None),
            None => self.next_ids(after, limit).await?,
        };
        let (Some(&first), Some(&last)) = (ids.as_slice().first(), ids.as_slice().last()) else {
            return Ok(None);
        };
        let rows: Vec<OrderRow> = self
            .read(|connection| {
                let mut selected = orders::table
                    .filter(orders::order_id.between(first, last))
                    .order(orders::order_id)
                    .select(OrderRow::as_select())
                    .into_boxed();
                if let Some(customer) = &filter.customer {
                    selected = selected.filter(orders::customer_id.eq(customer.as_str().to_owned()));
                }
                if let Some(since) = filter.since {
                    selected = selected.filter(orders::updated_at.ge(since));
                }
                selected.load(connection).boxed()
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
        Ok(Some(Page { orders, corrupt, scanned: u64::try_from(ids.len()).unwrap_or(u64::MAX), last }))
    }

    async fn emit(&self, events: &[OrderEvent]) -> Result<(), RepublishSourceError> {
        let encoded = events.iter().map(OrderEvent::encode).collect::<Result<Vec<_>, _>>();
        let trace = EmitTrace::begin(events);
        let emit =
            Emit::new(encoded.map_err(|error| RepublishSourceError(error.into()))?, trace.traceparents());
        let emitted =
            self.database.write(|connection| RunQueryDsl::execute(emit.clone(), connection).boxed()).await;
        trace.end(emitted.as_ref().err());
        emitted.map(drop).map_err(|error| RepublishSourceError(error.into()))
    }

    async fn backlog_exceeds(&self, limit: i64) -> Result<bool, RepublishSourceError> {
        // Reads at most one row beyond the limit.
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
    /// Adds events to the outbox in one statement.
    #[derive(Clone)]
    struct Emit = "emit.sql" {
        kinds: Vec<&'static str> as Array<Text>,
        payloads: Vec<String> as Array<Text>,
        traceparents: Vec<Option<String>> as Array<Nullable<Text>>,
    }
}

impl Emit {
    fn new(events: Vec<EncodedEvent>, traceparents: Vec<Option<String>>) -> Self {
        let (kinds, payloads) = events.into_iter().map(|event| (event.kind, event.payload)).unzip();
        Self { kinds, payloads, traceparents }
    }
}
