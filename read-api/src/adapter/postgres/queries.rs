//! The queries.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use runtime::database::{Database, DatabaseError};
use uuid::Uuid;

use super::row::SummaryRow;
use super::schema::order_summary;
use crate::model::OrderSummary;
use crate::port::{OrderQueries, QueryError};

/// Answers from `order_summary` in PostgreSQL. It locks nothing.
pub struct PgOrderQueries {
    database: Database,
}

impl PgOrderQueries {
    /// Asks `database`.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Whether questions could be answered now: the database answers and the table is there.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub async fn check(&self) -> Result<(), DatabaseError> {
        let any = order_summary::table.select(order_summary::order_id).limit(0);
        self.database.run(move |connection| any.execute(connection).boxed()).await.map(drop)
    }
}

impl OrderQueries for PgOrderQueries {
    async fn recent(&self, customer_id: &str, limit: i64) -> Result<Vec<OrderSummary>, QueryError> {
        let newest_first = order_summary::table
            .filter(order_summary::customer_id.eq(customer_id.to_owned()))
            .order((order_summary::placed_at.desc(), order_summary::order_id.desc()))
            .limit(limit)
            .select(SummaryRow::as_select());
        let rows: Vec<SummaryRow> = self.ask(move |connection| newest_first.load(connection).boxed()).await?;
        Ok(rows.into_iter().map(OrderSummary::from).collect())
    }

    async fn find(&self, order_id: Uuid) -> Result<Option<OrderSummary>, QueryError> {
        let one = order_summary::table.find(order_id).select(SummaryRow::as_select());
        let row: Option<SummaryRow> = self
            .ask(move |connection| one.first(connection).map(OptionalExtension::optional).boxed())
            .await?;
        Ok(row.map(OrderSummary::from))
    }
}

impl PgOrderQueries {
    async fn ask<T, W>(&self, work: W) -> Result<T, QueryError>
    where
        W: for<'c> FnOnce(&'c mut AsyncPgConnection) -> BoxFuture<'c, QueryResult<T>>,
    {
        self.database.run(work).await.map_err(|error| QueryError(error.into()))
    }
}
