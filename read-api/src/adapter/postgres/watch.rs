//! Queries that serve many waiting requests and streams at once.

use std::ops::Range;
use std::sync::Arc;

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use service_kit::database::Database;

use super::position::Positions;
use super::query::query;
use super::{changes, detail, list};
use crate::model::{Filter, OrderDetail, OrderSummary, PageRequest, WantedVersion};
use crate::port::{Change, OrderWatch, QueryError, Read};

/// The number of connections for waits, for the feed of streams, and for streams that start. They form a pool of
/// their own, so that slow lists cannot delay a wait beyond its time limit.
pub const WATCH_CONNECTIONS: usize = 4;

/// Queries `order_summary` in PostgreSQL. It takes no row locks.
#[derive(Clone)]
pub struct PgOrderWatch {
    database: Database,
    positions: Arc<Positions>,
}

impl PgOrderWatch {
    /// Queries `database`.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, positions: Arc::default() }
    }

    /// Reads the position first, then the rows, on the same connection: another connection may lead to a standby that
    /// lags.
    async fn read<T, W>(&self, work: W) -> Result<Read<T>, QueryError>
    where
        T: Send + 'static,
        W: for<'c> Fn(&'c mut AsyncPgConnection) -> BoxFuture<'c, QueryResult<T>> + Clone + Send + 'static,
    {
        let positions = Arc::clone(&self.positions);
        query(&self.database, |connection| {
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
    async fn reached(&self, wanted: Vec<WantedVersion>) -> Result<Vec<OrderDetail>, QueryError> {
        query(&self.database, |connection| detail::reached(connection, wanted.clone()).boxed()).await
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

    async fn changes_of_customer(
        &self,
        customer_id: &str,
        first_unseen: i64,
        limit: usize,
    ) -> Result<Read<Vec<OrderSummary>>, QueryError> {
        let (customer_id, limit) = (customer_id.to_owned(), i64::try_from(limit).unwrap_or(i64::MAX));
        self.read(move |connection| {
            changes::for_customer(connection, customer_id.clone(), first_unseen, limit).boxed()
        })
        .await
    }

    async fn changes_of_customers(
        &self,
        customer_ids: Vec<String>,
        transactions: Vec<Range<i64>>,
        limit: usize,
    ) -> Result<Read<Vec<Change>>, QueryError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(move |connection| {
            changes::for_customers(connection, customer_ids.clone(), transactions.clone(), limit).boxed()
        })
        .await
    }
}
