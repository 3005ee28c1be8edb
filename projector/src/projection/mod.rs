//! Projections: code that applies events to read models. Each read model has a file in this folder.

mod order_summary;

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use shared_events::OrderEvent;

pub use order_summary::OrderSummary;

/// Keeps a read model up to date from events.
///
/// `apply` runs in the transaction that deletes the events from the outbox or, in a subscription, moves the checkpoint.
/// Both commit together, so each event takes effect once. An implementation must cope with:
///
/// - **Any order.** In the claim, events of one order may arrive in any order, and in several batches at once from
///   independent workers. A model that shows the latest state compares versions, and takes facts from older versions
///   too. A subscription has one worker at a time and gets events by position; only those that were parked come late.
/// - **Deadlocks.** Two workers may write the same rows. Write them in a fixed order, such as by primary key.
/// - **Controls.** Before events that the database refused are parked, valid orders of an unknown customer, with texts
///   as long as theirs, are applied and rolled back. This proves that the database works. From time to time hundreds of
///   short orders, which need new pages, are applied and rolled back too. All of them must be accepted.
/// - **Cost.** It is called once a batch. The number of statements should not depend on the size of the batch.
pub trait Projection: Send + Sync {
    /// The name of the read model, for logs.
    fn name(&self) -> &'static str;

    /// Why the read model's table would refuse `event`, if that is known without the database. Such an event is parked
    /// without being tried, so this should cover all CHECKs of the table.
    fn refuses(&self, _event: &OrderEvent) -> Option<String> {
        None
    }

    /// Tries to lock the existing rows that [`Projection::apply`] would write, without waiting. Returns the positions
    /// of the events whose rows another session has locked.
    ///
    /// Called before `apply` while rows are known to be locked. Without an implementation, a locked row is found only
    /// by waiting for it, as a row that another session has inserted and not committed. That is slower, and it is an
    /// outage if the control needs the row too.
    fn lock_rows<'a>(
        &'a self,
        _connection: &'a mut AsyncPgConnection,
        _events: &'a [&'a OrderEvent],
    ) -> BoxFuture<'a, QueryResult<Vec<usize>>> {
        std::future::ready(Ok(Vec::new())).boxed()
    }

    /// A counter of the rows that this session has tried to write, rolled-back ones included; none if unknown. Only the
    /// difference between two calls in one transaction has a meaning: it tells how many rows a refused
    /// [`Projection::apply`] wrote before it failed.
    fn rows_tried<'a>(
        &'a self,
        _connection: &'a mut AsyncPgConnection,
    ) -> BoxFuture<'a, QueryResult<Option<i64>>> {
        std::future::ready(Ok(None)).boxed()
    }

    /// The positions of the events whose rows [`Projection::apply`] writes, in the order of its writes.
    fn row_order(&self, _events: &[&OrderEvent]) -> Vec<usize> {
        Vec::new()
    }

    /// Applies `events` to the read model, on `connection` only.
    ///
    /// An error rolls the batch back. It is then classified: event, lock or database.
    fn apply<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        events: &'a [&'a OrderEvent],
    ) -> BoxFuture<'a, QueryResult<()>>;
}
