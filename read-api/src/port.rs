//! The questions that can be asked.

use std::error::Error;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;

use uuid::Uuid;

use crate::model::{OrderSummary, Page, PageRequest, ReadPosition};

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

    /// The newest orders of each of the customers, newest first, in the order of the customers, by one query.
    ///
    /// # Errors
    ///
    /// [`QueryError`].
    fn newest(
        &self,
        customer_ids: Vec<String>,
        limit: u8,
    ) -> impl Future<Output = Result<Read<Vec<Vec<OrderSummary>>>, QueryError>> + Send;

    /// Up to `limit` orders of one customer that were written by transaction `settled` or a later one, in any order. It is quick
    /// however long ago that was.
    ///
    /// # Errors
    ///
    /// [`QueryError`].
    fn changes_of(
        &self,
        customer_id: &str,
        settled: i64,
        limit: usize,
    ) -> impl Future<Output = Result<Read<Vec<OrderSummary>>, QueryError>> + Send;

    /// Up to `limit` orders of any of the customers that were written by one of these transactions, in any order, by one query.
    /// Its cost grows with what all customers' orders were changed by them, not with the number of the customers.
    ///
    /// # Errors
    ///
    /// [`QueryError`].
    fn changes(
        &self,
        customer_ids: Vec<String>,
        transactions: Vec<Range<i64>>,
        limit: usize,
    ) -> impl Future<Output = Result<Read<Vec<Change>>, QueryError>> + Send;
}

/// What was read, and how far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read<T> {
    /// What other transactions wrote than those that are unseen here is in `found`. What some of these wrote may be as well.
    pub position: ReadPosition,
    /// What was found.
    pub found: T,
}

/// An order that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// By which transaction.
    pub transaction: i64,
    /// As it is now.
    pub order: OrderSummary,
}

/// The question could not be answered; it may be answered later. Questions that were asked together share the cause.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the read model cannot be queried")]
pub struct QueryError(#[source] pub Arc<dyn Error + Send + Sync>);
