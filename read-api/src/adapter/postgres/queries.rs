//! The queries.

use std::collections::HashMap;
use std::sync::Arc;

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use runtime::database::{Database, DatabaseError};
use uuid::Uuid;

use super::coalesce::Coalescer;
use super::{find, list};
use crate::model::{OrderSummary, Page, PageRequest};
use crate::port::{OrderQueries, QueryError};

/// How many statements of a kind are under way at once. With more, each would carry fewer questions.
const LANES: usize = 2;

/// Answers from `order_summary` in PostgreSQL. It locks nothing.
pub struct PgOrderQueries {
    database: Database,
    pages: Coalescer<PageRequest, Page>,
    finds: Coalescer<Uuid, Option<OrderSummary>>,
}

impl PgOrderQueries {
    /// Asks `database`.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start(database: Database) -> Self {
        let (lists, orders) = (database.clone(), database.clone());
        Self {
            pages: Coalescer::start(LANES, database.longest_wait(), move |requests| {
                let database = lists.clone();
                async move { ask(&database, |connection| list::pages(connection, requests).boxed()).await }
                    .boxed()
            }),
            finds: Coalescer::start(LANES, database.longest_wait(), move |order_ids: Vec<Uuid>| {
                let database = orders.clone();
                async move {
                    let asked = order_ids.clone();
                    let found = ask(&database, |connection| find::find(connection, asked).boxed()).await?;
                    let found: HashMap<_, _> =
                        found.into_iter().map(|order| (order.order_id, order)).collect();
                    Ok(order_ids.iter().map(|order_id| found.get(order_id).cloned()).collect())
                }
                .boxed()
            }),
            database,
        }
    }

    /// Whether questions could be answered now: the database answers and the table is there.
    ///
    /// # Errors
    ///
    /// [`DatabaseError`].
    pub async fn check(&self) -> Result<(), DatabaseError> {
        self.database.run(|connection| find::find(connection, Vec::new()).boxed()).await.map(drop)
    }
}

impl OrderQueries for PgOrderQueries {
    async fn page(&self, request: PageRequest) -> Result<Page, QueryError> {
        if request.filter.statuses.is_empty() {
            return self.pages.ask(request).await;
        }
        ask(&self.database, |connection| list::page_by_status(connection, request).boxed()).await
    }

    async fn find(&self, order_id: Uuid) -> Result<Option<OrderSummary>, QueryError> {
        self.finds.ask(order_id).await
    }

    async fn find_all(&self, order_ids: Vec<Uuid>) -> Result<Vec<OrderSummary>, QueryError> {
        ask(&self.database, |connection| find::find(connection, order_ids).boxed()).await
    }
}

async fn ask<T, W>(database: &Database, work: W) -> Result<T, QueryError>
where
    W: for<'c> FnOnce(&'c mut AsyncPgConnection) -> BoxFuture<'c, QueryResult<T>>,
{
    database.run(work).await.map_err(|error| QueryError(Arc::new(error)))
}
