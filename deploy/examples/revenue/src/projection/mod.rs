//! `revenue_1`: revenue by month and currency, and orders by SKU.
//!
//! | File | Holds |
//! |---|---|
//! | `mod.rs` | the projection: start reading here |
//! | `counted` | what is known of an order, and what it adds to the sums |
//! | `differences` | by how much a batch changes the sums |
//! | `store` | the statements |
//! | `limits` | what the tables refuse |

mod counted;
mod differences;
mod limits;
mod store;

use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use projector::projection::Projection;
use shared_events::OrderEvent;

use self::counted::Changes;
pub use self::counted::{Counted, Revenue};
use self::differences::Differences;

/// Adds up revenue and orders. It keeps what it has counted of each order, and changes the sums by the difference. So
/// it is exact for events in any sequence, repeated events, and republished ones.
///
/// It needs to be a subscription: that has one worker at a time, and so two workers cannot both add the same new order.
pub struct RevenueByMonth;

impl Projection for RevenueByMonth {
    fn name(&self) -> &'static str {
        "revenue_1"
    }

    fn refuses(&self, event: &OrderEvent) -> Option<String> {
        limits::first_violation(event)
    }

    fn apply<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        events: &'a [&'a OrderEvent],
    ) -> BoxFuture<'a, QueryResult<()>> {
        apply(connection, events).boxed()
    }
}

/// Four statements for any number of events.
async fn apply(connection: &mut AsyncPgConnection, events: &[&OrderEvent]) -> QueryResult<()> {
    let mut order_ids: Vec<_> = events.iter().map(|event| event.order.order_id).collect();
    order_ids.sort_unstable();
    order_ids.dedup();
    let known = store::load_orders(connection, order_ids).await?;
    let changes = Changes::new(known, events);
    store::store_orders(connection, &changes).await?;
    let differences = Differences::new(&changes);
    store::add_by_month(connection, &differences).await?;
    store::add_by_sku(connection, &differences).await
}
