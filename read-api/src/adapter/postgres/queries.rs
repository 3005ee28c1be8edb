//! The queries.

use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel_async::RunQueryDsl;
use runtime::database::{Pool, PoolError};
use uuid::Uuid;

use super::row::SummaryRow;
use super::schema::order_summary;
use crate::model::OrderSummary;
use crate::port::{OrderQueries, QueryError};

/// Answers from `order_summary` in PostgreSQL. It locks nothing.
pub struct PgOrderQueries {
    pool: Pool,
}

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// No connection.
    #[error("no connection to the database")]
    Connect(#[from] PoolError),
    /// The table cannot be read: not migrated yet, or not our role.
    #[error("the order_summary table cannot be read")]
    Read(#[from] DieselError),
}

impl PgOrderQueries {
    /// Takes its connections from `pool`.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// Whether questions could be answered now: the database answers and the table is there.
    ///
    /// # Errors
    ///
    /// [`CheckError`].
    pub async fn check(&self) -> Result<(), CheckError> {
        let mut connection = self.pool.get().await?;
        order_summary::table.select(order_summary::order_id).limit(0).execute(&mut connection).await?;
        Ok(())
    }
}

impl OrderQueries for PgOrderQueries {
    async fn recent(&self, customer_id: &str, limit: i64) -> Result<Vec<OrderSummary>, QueryError> {
        let mut connection = self.pool.get().await.map_err(|error| QueryError(error.into()))?;
        let rows: Vec<SummaryRow> = order_summary::table
            .filter(order_summary::customer_id.eq(customer_id))
            .order((order_summary::placed_at.desc(), order_summary::order_id.desc()))
            .limit(limit)
            .select(SummaryRow::as_select())
            .load(&mut connection)
            .await
            .map_err(|error| QueryError(error.into()))?;
        Ok(rows.into_iter().map(OrderSummary::from).collect())
    }

    async fn find(&self, order_id: Uuid) -> Result<Option<OrderSummary>, QueryError> {
        let mut connection = self.pool.get().await.map_err(|error| QueryError(error.into()))?;
        let row: Option<SummaryRow> = order_summary::table
            .find(order_id)
            .select(SummaryRow::as_select())
            .first(&mut connection)
            .await
            .optional()
            .map_err(|error| QueryError(error.into()))?;
        Ok(row.map(OrderSummary::from))
    }
}
