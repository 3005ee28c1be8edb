//! What requests ask.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::FutureExt;
use service_kit::database::Database;
use service_kit::tasks::CriticalTasks;
use uuid::Uuid;

use super::coalesce::Coalescer;
use super::watch::ask;
use super::{find, list};
use crate::model::{OrderSummary, Page, PageRequest};
use crate::port::{OrderQueries, QueryError};

/// How many connections each thread uses for what is quick: one for pages and one for single orders. With two statements under
/// way for pages each carried fewer questions, and a tenth fewer lists were answered.
pub const CONNECTIONS: usize = 2;

/// Answers from `order_summary` in PostgreSQL. It locks nothing.
pub struct PgOrderQueries {
    database: Database,
    pages: Coalescer<PageRequest, Page>,
    finds: Coalescer<Uuid, Option<OrderSummary>>,
}

impl PgOrderQueries {
    /// Asks `lanes` what is quick, many questions in a statement, and `database` what may take long. The lanes belong to the
    /// thread that calls this: one for each that serves HTTP keeps every answer on the thread that asked.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start(lanes: Database, database: Database, tasks: &CriticalTasks) -> Self {
        let (pages, limit) = (lanes.clone(), lanes.longest_wait());
        Self {
            database,
            pages: Coalescer::start(tasks, limit, move |requests| {
                let (lanes, requests) = (pages.clone(), Arc::new(requests));
                async move {
                    ask(&lanes, |connection| list::pages(connection, Arc::clone(&requests)).boxed()).await
                }
                .boxed()
            }),
            finds: Coalescer::start(tasks, limit, move |order_ids: Vec<Uuid>| {
                let lanes = lanes.clone();
                async move {
                    let found =
                        ask(&lanes, |connection| find::find(connection, order_ids.clone()).boxed()).await?;
                    let mut found: HashMap<_, _> =
                        found.into_iter().map(|order| (order.order_id, order)).collect();
                    Ok(order_ids.iter().map(|order_id| found.remove(order_id)).collect())
                }
                .boxed()
            }),
        }
    }
}

impl OrderQueries for PgOrderQueries {
    async fn page(&self, request: PageRequest) -> Result<Page, QueryError> {
        if request.filter.statuses.is_empty() {
            return self.pages.ask(request).await;
        }
        ask(&self.database, |connection| list::page_by_status(connection, request.clone()).boxed()).await
    }

    async fn find(&self, order_id: Uuid) -> Result<Option<OrderSummary>, QueryError> {
        self.finds.ask(order_id).await
    }
}
