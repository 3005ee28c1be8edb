//! The questions that can be asked.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;

use uuid::Uuid;

use crate::model::{OrderSummary, Page, PageRequest};

/// Answers questions about orders, as far as they have been projected.
pub trait OrderQueries: Send + Sync + 'static {
    /// A page of a customer's orders, by `placed_at` and then by id, newest first.
    ///
    /// # Errors
    ///
    /// [`QueryError`].
    fn page(&self, request: PageRequest) -> impl Future<Output = Result<Page, QueryError>> + Send;

    /// One order, or `None` where there is none, or none that has been projected yet.
    ///
    /// # Errors
    ///
    /// [`QueryError`].
    fn find(&self, order_id: Uuid) -> impl Future<Output = Result<Option<OrderSummary>, QueryError>> + Send;

    /// Those of the orders that are there, in any order, by one query.
    ///
    /// # Errors
    ///
    /// [`QueryError`].
    fn find_all(
        &self,
        order_ids: Vec<Uuid>,
    ) -> impl Future<Output = Result<Vec<OrderSummary>, QueryError>> + Send;
}

/// The question could not be answered; it may be answered later. Questions that were asked together share the cause.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the read model cannot be queried")]
pub struct QueryError(#[source] pub Arc<dyn Error + Send + Sync>);
