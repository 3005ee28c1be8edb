//! Queries that serve one request each.

use std::sync::Arc;

use futures_util::FutureExt;
use service_kit::database::Database;
use service_kit::tasks::CriticalTasks;

use super::coalesce::Coalescer;
use super::query::query;
use super::{detail, list};
use crate::model::{ListRequest, OrderDetail, OrderRequest, Page, PageRequest, WantedVersion};
use crate::port::{OrderQueries, QueryError};

/// The number of connections in the dedicated pool of an HTTP thread: one for pages and one for single orders. A second
/// connection for pages would only make the batches smaller.
pub const DEDICATED_CONNECTIONS: usize = 2;

/// Queries `order_summary` in PostgreSQL. It takes no row locks.
pub struct PgOrderQueries {
    shared: Database,
    pages: Coalescer<PageRequest, Page>,
    finds: Coalescer<OrderRequest, Option<OrderDetail>>,
}

impl PgOrderQueries {
    /// Sends quick queries to `dedicated`, many in one statement, and queries that may take long to `shared`. Each
    /// HTTP thread has its own `dedicated` pool, so that a result stays on the thread of its request.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start(dedicated: Database, shared: Database, tasks: &CriticalTasks) -> Self {
        let (pages, limit) = (dedicated.clone(), dedicated.longest_wait());
        Self {
            shared,
            pages: Coalescer::start(tasks, limit, move |requests| {
                let (pages, requests) = (pages.clone(), Arc::new(requests));
                async move {
                    query(&pages, |connection| list::pages(connection, Arc::clone(&requests)).boxed()).await
                }
                .boxed()
            }),
            finds: Coalescer::start(tasks, limit, move |requests: Vec<OrderRequest>| {
                let dedicated = dedicated.clone();
                async move {
                    query(&dedicated, |connection| detail::find(connection, requests.clone()).boxed()).await
                }
                .boxed()
            }),
        }
    }
}

impl OrderQueries for PgOrderQueries {
    async fn page(&self, request: ListRequest) -> Result<Page, QueryError> {
        match request {
            ListRequest::OfCustomer(request) if request.filter.statuses.is_empty() => {
                self.pages.query(request).await
            }
            request => {
                query(&self.shared, |connection| list::page(connection, request.clone()).boxed()).await
            }
        }
    }

    async fn page_at(&self, request: ListRequest, wanted: WantedVersion) -> Result<Option<Page>, QueryError> {
        query(&self.shared, |connection| list::page_at(connection, request.clone(), wanted.clone()).boxed())
            .await
    }

    async fn find(&self, request: OrderRequest) -> Result<Option<OrderDetail>, QueryError> {
        self.finds.query(request).await
    }
}
