//! The questions that can be asked.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;

use uuid::Uuid;

use crate::model::{Mark, OrderSummary, Page, PageRequest};

/// Answers what requests ask, as far as orders have been projected.
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
}

/// Answers what a process asks again and again on behalf of many requests that wait.
pub trait OrderWatch: Send + Sync + 'static {
    /// Those of the orders that are there, in any order, by one query.
    ///
    /// # Errors
    ///
    /// [`QueryError`].
    fn find_all(
        &self,
        order_ids: Vec<Uuid>,
    ) -> impl Future<Output = Result<Vec<OrderSummary>, QueryError>> + Send;

    /// A customer's newest orders, newest first, and how far they have been read.
    ///
    /// # Errors
    ///
    /// [`QueryError`].
    fn newest(&self, customer_id: &str, limit: u8) -> impl Future<Output = Result<Read, QueryError>> + Send;

    /// Up to `limit` orders of one customer that were written since `settled`, in any order. It is quick however long ago that
    /// was.
    ///
    /// # Errors
    ///
    /// [`QueryError`].
    fn changes_of(
        &self,
        customer_id: &str,
        settled: i64,
        limit: usize,
    ) -> impl Future<Output = Result<Read, QueryError>> + Send;

    /// The orders of any of the customers that were written since `settled`, in the order of their writing, by one query. It is
    /// quick however many customers are asked for, if that was not long ago.
    ///
    /// # Errors
    ///
    /// [`QueryError`].
    fn changes(
        &self,
        customer_ids: Vec<String>,
        settled: i64,
    ) -> impl Future<Output = Result<Read, QueryError>> + Send;
}

/// What was read, and how far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// What earlier transactions than this wrote has been seen.
    pub mark: Mark,
    /// The orders. What later transactions wrote may be among it.
    pub orders: Vec<OrderSummary>,
}

/// The question could not be answered; it may be answered later. Questions that were asked together share the cause.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the read model cannot be queried")]
pub struct QueryError(#[source] pub Arc<dyn Error + Send + Sync>);
