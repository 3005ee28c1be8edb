//! The queries that the read side needs; [`crate::adapter::postgres`] implements them.

use std::error::Error;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;

use crate::model::{ListRequest, OrderDetail, OrderRequest, OrderSummary, Page, ReadPosition, WantedVersion};

/// Queries that serve one request each. They see only what has been projected.
pub trait OrderQueries: Send + Sync + 'static {
    /// A page of a list, by `placed_at` and then by id, newest first.
    fn page(&self, request: ListRequest) -> impl Future<Output = Result<Page, QueryError>> + Send;

    /// Like [`Self::page`], of a state of the read model that has the wanted version; `None` if the server that was
    /// queried does not have it.
    fn page_at(
        &self,
        request: ListRequest,
        wanted: WantedVersion,
    ) -> impl Future<Output = Result<Option<Page>, QueryError>> + Send;

    /// One order; `None` if it does not exist, has not been projected yet, or is not the customer's who must own it.
    fn find(
        &self,
        request: OrderRequest,
    ) -> impl Future<Output = Result<Option<OrderDetail>, QueryError>> + Send;
}

/// Queries that a process repeats to serve many waiting requests and streams at once.
pub trait OrderWatch: Send + Sync + 'static {
    /// Those of the orders that have reached the wanted versions, in any sequence, with one query.
    fn reached(
        &self,
        wanted: Vec<WantedVersion>,
    ) -> impl Future<Output = Result<Vec<OrderDetail>, QueryError>> + Send;

    /// The newest orders of each customer, newest first, in the sequence of `customer_ids`, with one query.
    fn newest(
        &self,
        customer_ids: Vec<String>,
        limit: u8,
    ) -> impl Future<Output = Result<Read<Vec<Vec<OrderSummary>>>, QueryError>> + Send;

    /// Up to `limit` orders of one customer that transaction `first_unseen` or a later one wrote, in any sequence.
    /// Its cost does not depend on how long ago that was.
    fn changes_of_customer(
        &self,
        customer_id: &str,
        first_unseen: i64,
        limit: usize,
    ) -> impl Future<Output = Result<Read<Vec<OrderSummary>>, QueryError>> + Send;

    /// Up to `limit` orders of any of these customers that one of these transactions wrote, in any sequence, with
    /// one query. Its cost grows with the number of changes of all customers, not with the number of `customer_ids`.
    fn changes_of_customers(
        &self,
        customer_ids: Vec<String>,
        transactions: Vec<Range<i64>>,
        limit: usize,
    ) -> impl Future<Output = Result<Read<Vec<Change>>, QueryError>> + Send;
}

/// The result of a query and its read position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read<T> {
    /// `found` includes every write of the transactions seen at this position. It may include writes of unseen ones,
    /// too.
    pub position: ReadPosition,
    /// The result.
    pub found: T,
}

/// An order and the transaction that last wrote its summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The transaction that wrote the summary.
    pub transaction: i64,
    /// The order as it is now.
    pub order: OrderSummary,
}

/// The query failed; a later attempt may succeed. Queries that shared a statement share the cause.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the read model cannot be queried")]
pub struct QueryError(#[source] pub Arc<dyn Error + Send + Sync>);
