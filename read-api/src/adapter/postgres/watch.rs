//! What the process asks on behalf of requests that wait.

use std::ops::Range;
use std::sync::Arc;

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use service_kit::database::Database;
use uuid::Uuid;

use super::position::Positions;
use super::{changes, find, list};
use crate::model::{Filter, OrderSummary, PageRequest};
use crate::port::{Change, OrderWatch, QueryError, Read};

/// How many connections it needs: for who waits, for who watches, and for those who begin to. They are its own, so that lists
/// which take long keep nobody waiting who has been promised an answer in time.
pub const WATCH_CONNECTIONS: usize = 4;

/// Answers from `order_summary` in PostgreSQL. It locks nothing.
#[derive(Clone)]
pub struct PgOrderWatch {
    database: Database,
    positions: Arc<Positions>,
}

impl PgOrderWatch {
    /// Asks `database`.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, positions: Arc::default() }
    }

    /// Takes the position and then reads, on one connection: another one may lead to another standby, which is behind.
    async fn read<T, W>(&self, work: W) -> Result<Read<T>, QueryError>
    where
        T: Send + 'static,
        W: for<'c> Fn(&'c mut AsyncPgConnection) -> BoxFuture<'c, QueryResult<T>> + Clone + Send + 'static,
    {
        let positions = Arc::clone(&self.positions);
        ask(&self.database, |connection| {
            let (positions, work) = (Arc::clone(&positions), work.clone());
            async move {
                let position = positions.next(connection).await?;
                Ok(Read { position, found: work(connection).await? })
            }
            .boxed()
        })
        .await
    }
}

impl OrderWatch for PgOrderWatch {
    async fn find_all(&self, order_ids: Vec<Uuid>) -> Result<Vec<OrderSummary>, QueryError> {
        ask(&self.database, |connection| find::find(connection, order_ids.clone()).boxed()).await
    }

    async fn newest(
        &self,
        customer_ids: Vec<String>,
        limit: u8,
    ) -> Result<Read<Vec<Vec<OrderSummary>>>, QueryError> {
        let first_page =
            |customer_id| PageRequest { customer_id, filter: Filter::default(), after: None, limit };
        let requests: Arc<Vec<_>> = Arc::new(customer_ids.into_iter().map(first_page).collect());
        self.read(move |connection| {
            let requests = Arc::clone(&requests);
            async move {
                let pages = list::pages(connection, requests).await?;
                Ok(pages.into_iter().map(|page| page.orders).collect())
            }
            .boxed()
        })
        .await
    }

    async fn changes_of(
        &self,
        customer_id: &str,
        settled: i64,
        limit: usize,
    ) -> Result<Read<Vec<OrderSummary>>, QueryError> {
        let (customer_id, limit) = (customer_id.to_owned(), i64::try_from(limit).unwrap_or(i64::MAX));
        self.read(move |connection| {
            changes::of_customer(connection, customer_id.clone(), settled, limit).boxed()
        })
        .await
    }

    async fn changes(
        &self,
        customer_ids: Vec<String>,
        transactions: Vec<Range<i64>>,
        limit: usize,
    ) -> Result<Read<Vec<Change>>, QueryError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(move |connection| {
            changes::of_customers(connection, customer_ids.clone(), transactions.clone(), limit).boxed()
        })
        .await
    }
}

pub(super) async fn ask<T, W>(database: &Database, work: W) -> Result<T, QueryError>
where
    W: for<'c> Fn(&'c mut AsyncPgConnection) -> BoxFuture<'c, QueryResult<T>>,
{
    database.read(work).await.map_err(|error| QueryError(Arc::new(error)))
}
