//! Read models for one test, and subscriptions on them.

use anyhow::Result;
use diesel::QueryResult;
use diesel::sql_types::{Array, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use projector::RetryPolicy;
use projector::batch::BatchError;
use projector::projection::Projection;
use projector::subscription::{Progress, ReadModelSteps, Start, create};
use service_kit::database::Database;
use shared_events::OrderEvent;

use crate::support::{LATER, Scene, drain};

/// Counts the events of each order in the table of this name. It has no versions, so each repeated or lost event
/// shows.
pub(super) struct Counts(pub(super) &'static str);

impl Projection for Counts {
    fn name(&self) -> &'static str {
        self.0
    }

    fn apply<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        events: &'a [&'a OrderEvent],
    ) -> BoxFuture<'a, QueryResult<()>> {
        let mut orders: Vec<_> = events.iter().map(|event| event.order.order_id).collect();
        orders.sort_unstable();
        let add = format!(
            "INSERT INTO {0} (order_id, events) SELECT order_id, count(*) FROM unnest($1) AS t (order_id)
             GROUP BY order_id ORDER BY order_id
             ON CONFLICT (order_id) DO UPDATE SET events = {0}.events + EXCLUDED.events",
            self.0
        );
        async move {
            let add = diesel::sql_query(add).bind::<Array<SqlUuid>, _>(orders);
            RunQueryDsl::execute(add, connection).await.map(drop)
        }
        .boxed()
    }
}

/// Does what the function says after the projection has written.
pub(super) struct After<P, F>(pub(super) P, pub(super) F);

impl<P, F> Projection for After<P, F>
where
    P: Projection,
    F: Fn() -> BoxFuture<'static, QueryResult<()>> + Send + Sync,
{
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn apply<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        events: &'a [&'a OrderEvent],
    ) -> BoxFuture<'a, QueryResult<()>> {
        async move {
            self.0.apply(connection, events).await?;
            self.1().await
        }
        .boxed()
    }
}

impl Scene {
    /// Creates the table of [`Counts`].
    pub(super) async fn create_counts(&self, name: &str) -> Result<()> {
        let table = format!(
            "CREATE TABLE {name} (order_id uuid PRIMARY KEY, events bigint NOT NULL);
             GRANT SELECT, INSERT, UPDATE ON {name} TO orders_projector"
        );
        Ok(self.session.batch_execute(&table).await?)
    }

    /// How many orders the table of [`Counts`] has, and how many events it has counted.
    pub(super) async fn counted(&self, name: &str) -> Result<(i64, i64)> {
        let sum = format!("SELECT count(*), coalesce(sum(events), 0)::bigint FROM {name}");
        let sum = self.session.query_one(&sum, &[]).await?;
        Ok((sum.get(0), sum.get(1)))
    }

    /// Creates a subscription that begins at the oldest event of the log.
    pub(super) async fn subscribe(&self, name: &str) -> Result<()> {
        let mut session = self.open()?.session().await?;
        create(&mut session, name, Start::Oldest).await?;
        session.give_back();
        Ok(())
    }

    /// Runs batches of `projection`, which has a subscription.
    pub(super) fn steps(&self, projection: impl Projection + 'static) -> Result<ReadModelSteps> {
        self.steps_with_retries(projection, LATER)
    }

    pub(super) fn steps_with_retries(
        &self,
        projection: impl Projection + 'static,
        retry_policy: RetryPolicy,
    ) -> Result<ReadModelSteps> {
        Ok(Self::steps_in(self.open_one()?, projection, retry_policy))
    }

    pub(super) fn steps_in(
        database: Database,
        projection: impl Projection + 'static,
        retry_policy: RetryPolicy,
    ) -> ReadModelSteps {
        ReadModelSteps::new(database, Box::new(projection), retry_policy, 1 << 20)
    }

    /// Moves all events from the outbox to the log.
    pub(super) async fn log_all(&self) -> Result<()> {
        drain(&*self.worker(1_000)?).await?;
        Ok(())
    }
}

/// Runs batches until no event is left. Returns how many events were handled, parked ones included.
pub(super) async fn run_to_end(steps: &ReadModelSteps, batch: i64) -> Result<usize, BatchError> {
    let mut total = 0;
    loop {
        match steps.run_once(batch).await? {
            Progress::Handled(handled) if handled.events > 0 => total += handled.events,
            _ => return Ok(total),
        }
    }
}
