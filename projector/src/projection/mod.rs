//! What a read model is. Each has a file in `projection/`.

mod order_summary;

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use shared_events::OrderEvent;

pub use order_summary::OrderSummary;

/// A read model that is kept up to date from events.
///
/// `apply` runs inside the transaction that takes the events out of the outbox: its writes and their disappearance
/// commit together, so that each event takes effect once. What else it must cope with:
///
/// - **Any order.** Events of one order may come in any order and in several batches at once, from workers that know
///   nothing of each other. A model that shows the latest state compares versions.
/// - **Deadlock.** Two workers may write the same rows: write them in a fixed order, such as by primary key.
/// - **A control.** Before events are parked because the database refuses them, an order placed now by nobody, with texts as
///   long as theirs, is applied and rolled back, to see that it is not the database that fails; and now and then some hundreds of short ones, which
///   need new pages. They have to be accepted.
/// - **Cost.** It is called once a batch, and should take a number of statements that does not depend on its size.
pub trait Projection: Send + Sync {
    /// The name of the read model, for logs.
    fn name(&self) -> &'static str;

    /// Why the read model's table would refuse `event`, as far as that can be known without the database. The event is then parked
    /// without any statement, so that this should cover all CHECKs of the table.
    fn refuses(&self, _event: &OrderEvent) -> Option<String> {
        None
    }

    /// Locks the rows that exist and that [`Projection::apply`] would write, except those that another session has locked, and
    /// returns the positions of the events that need these. It never waits for a row.
    ///
    /// Called before `apply` while rows are known to be locked. Without it events wait for a lock like everything else does: as
    /// in an outage.
    fn lock_rows<'a>(
        &'a self,
        _connection: &'a mut AsyncPgConnection,
        _events: &'a [OrderEvent],
    ) -> BoxFuture<'a, QueryResult<Vec<usize>>> {
        std::future::ready(Ok(Vec::new())).boxed()
    }

    /// How many rows this transaction has written so far, those that were taken back included; nothing where that is not known.
    /// After an [`Projection::apply`] that was refused it shows how far that has come.
    fn rows_tried<'a>(
        &'a self,
        _connection: &'a mut AsyncPgConnection,
    ) -> BoxFuture<'a, QueryResult<Option<i64>>> {
        std::future::ready(Ok(None)).boxed()
    }

    /// The positions of the events whose rows [`Projection::apply`] writes, in the order in which it does.
    fn row_order(&self, _events: &[OrderEvent]) -> Vec<usize> {
        Vec::new()
    }

    /// Brings the read model up to date with `events`, using `connection` and nothing else.
    ///
    /// An error rolls the batch back; the worker decides whether it is the events' fault or the database's.
    fn apply<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        events: &'a [OrderEvent],
    ) -> BoxFuture<'a, QueryResult<()>>;
}
