//! The questions that can be asked.

use std::future::Future;

use uuid::Uuid;

use crate::model::OrderSummary;

/// Answers questions about orders, as far as they have been projected.
pub trait OrderQueries: Send + Sync + 'static {
    /// The newest orders of a customer, by `placed_at` and then by id, newest first; at most `limit`.
    ///
    /// # Errors
    ///
    /// [`QueryError`].
    fn recent(
        &self,
        customer_id: &str,
        limit: i64,
    ) -> impl Future<Output = Result<Vec<OrderSummary>, QueryError>> + Send;

    /// One order, or `None` where there is none, or none that has been projected yet.
    ///
    /// # Errors
    ///
    /// [`QueryError`].
    fn find(&self, order_id: Uuid) -> impl Future<Output = Result<Option<OrderSummary>, QueryError>> + Send;
}

/// The question could not be answered; it may be answered later.
#[derive(Debug, thiserror::Error)]
#[error("the read model cannot be queried")]
pub struct QueryError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
