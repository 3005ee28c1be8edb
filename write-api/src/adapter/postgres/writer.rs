//! Stores orders.

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use runtime::database::{Pool, PoolError};
use shared_events::OrderEvent;
use uuid::Uuid;

use super::insert_order::InsertOrder;
use super::row::OrderRow;
use super::schema::orders;
use crate::domain::Order;
use crate::port::{OrderWriter, Saved, WriteError};

/// Stores orders in PostgreSQL, each with its event in one statement.
pub struct PgOrderWriter {
    pool: Pool,
}

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// No connection.
    #[error("no connection to the database")]
    Connect(#[from] PoolError),
    /// The table cannot be read: not migrated yet, or not our role.
    #[error("the orders table cannot be read")]
    Read(#[from] DieselError),
}

impl PgOrderWriter {
    /// A writer that takes its connections from `pool`.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// Whether an order could be stored now: the database answers and the table is there.
    ///
    /// # Errors
    ///
    /// [`CheckError`].
    pub async fn check(&self) -> Result<(), CheckError> {
        let mut connection = self.pool.get().await?;
        orders::table
            .select(orders::order_id)
            .limit(0)
            .execute(&mut connection)
            .await?;
        Ok(())
    }
}

impl OrderWriter for PgOrderWriter {
    async fn save(&self, order: &Order, event: &OrderEvent) -> Result<Saved, WriteError> {
        let event = event.encode().map_err(refused)?;
        let insert = InsertOrder::new(order, event).map_err(refused)?;
        let mut connection = self
            .pool
            .get()
            .await
            .map_err(|error| WriteError::Unavailable(error.into()))?;
        // By RunQueryDsl of diesel-async; diesel's own needs a synchronous connection.
        let inserted = RunQueryDsl::execute(insert, &mut connection)
            .await
            .map_err(failed_insert)?;
        if inserted > 0 {
            return Ok(Saved::New);
        }
        find(&mut connection, order.id())
            .await
            .map(|order| Saved::AlreadyThere(Box::new(order)))
    }
}

async fn find(connection: &mut AsyncPgConnection, order_id: Uuid) -> Result<Order, WriteError> {
    let row = orders::table
        .find(order_id)
        .select(OrderRow::as_select())
        .first(connection)
        .await
        // This only reads: whatever happens, nothing was stored.
        .map_err(|error| WriteError::Unavailable(error.into()))?;
    Order::try_from(row).map_err(refused)
}

/// What the server answered is certain: the statement was rolled back. Where no answer came it may have committed.
fn failed_insert(error: DieselError) -> WriteError {
    use DatabaseErrorKind::{CheckViolation, ClosedConnection, NotNullViolation, UnableToSendCommand};
    match &error {
        DieselError::DatabaseError(CheckViolation | NotNullViolation, _) => WriteError::Refused(error.into()),
        DieselError::DatabaseError(UnableToSendCommand | ClosedConnection, _) => {
            WriteError::OutcomeUnknown(error.into())
        }
        // diesel-async tells no more than this about timeouts, deadlocks, a full disk or a server that shuts down.
        DieselError::DatabaseError(..) => WriteError::Unavailable(error.into()),
        _ => WriteError::Refused(error.into()),
    }
}

fn refused(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> WriteError {
    WriteError::Refused(error.into())
}
