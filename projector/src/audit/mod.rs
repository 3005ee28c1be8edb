//! Whether acknowledged orders are lost. A page of orders at a time, round and round: each must be in the read
//! model with its newest version, or on its way there, and each summary must have its order.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Included};
use std::sync::Arc;
use std::time::Duration;

use diesel::sql_types::{Array, BigInt, Integer, Nullable, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use futures_util::FutureExt;
use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use service_kit::database::{Database, DatabaseError};
use service_kit::metrics::{Registry, rounded};
use service_kit::overload::OncePerSecond;
use service_kit::statement;
use service_kit::telemetry::chain;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::outbox::LowWaterMark;

/// A page takes some milliseconds of one connection: 200 rows of `orders` and of `order_summary`, by key.
const PAGE: i32 = 200;
const PAGE_EVERY: Duration = Duration::from_secs(1);
/// Ids that are remembered at most.
const LOST_MAX: usize = 10_000;

const LOST: &str = "orders_audit_lost_orders";
const CHECKED: &str = "orders_audit_orders_checked_total";
const PAGES: &str = "orders_audit_pages_total";

/// Audits the orders. Every process does this, each from a random order on.
pub(crate) struct Audit {
    database: Database,
    low_water_mark: Arc<LowWaterMark>,
    /// The last order of the page before.
    after: Uuid,
    /// The orders that were found lost, and not found since.
    lost: BTreeSet<Uuid>,
    lost_now: Gauge,
    checked: Counter,
    pages: Counter,
}

/// What the function says of a page: its last id, its orders, and those that are lost.
type Page = (Option<Uuid>, Option<i32>, Vec<Uuid>);

impl Audit {
    pub(crate) fn new(database: Database, low_water_mark: Arc<LowWaterMark>, registry: &Registry) -> Self {
        registry.register(|| {
            describe_gauge!(
                LOST,
                "Acknowledged orders that are lost: neither in the read model with their newest version nor on their \
                 way there, or there without their order. Found by a check of some orders a second; up to 10000."
            );
            describe_counter!(CHECKED, "Orders that were checked for being lost.");
            describe_counter!(
                PAGES,
                "Pages of orders that were checked for being lost. None while more than 5000 events are not projected."
            );
            let lost_now = gauge!(LOST);
            lost_now.set(0.0);
            let (checked, pages) = (counter!(CHECKED), counter!(PAGES));
            let (after, lost) = (Uuid::new_v4(), BTreeSet::new());
            Self { database, low_water_mark, after, lost, lost_now, checked, pages }
        })
    }

    /// Runs until the stop signal.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let checking = async {
            loop {
                tokio::time::sleep(PAGE_EVERY).await;
                if let Err(error) = self.check_page().await {
                    static FAILED: OncePerSecond = OncePerSecond::new();
                    if let Some(times) = FAILED.count() {
                        tracing::warn!(
                            times,
                            error = chain(&error),
                            "orders cannot be checked for being lost"
                        );
                    }
                }
            }
        };
        stop.run_until_cancelled(checking).await;
    }

    async fn check_page(&mut self) -> Result<(), DatabaseError> {
        let find =
            FindLostOrders { after: self.after, low_water_mark: self.low_water_mark.get(), most: PAGE };
        let page = self.database.read(|connection| {
            async move { RunQueryDsl::get_result::<Page>(find, connection).await }.boxed()
        });
        // Without a last id, too much is on its way to say anything.
        let (Some(up_to), checked, lost) = page.await? else { return Ok(()) };
        self.pages.increment(1);
        self.checked.increment(u64::try_from(checked.unwrap_or_default()).unwrap_or_default());
        self.remember(up_to, &lost);
        self.after = if up_to == Uuid::max() { Uuid::nil() } else { up_to };
        Ok(())
    }

    /// Of the ids of this page, these are lost.
    fn remember(&mut self, up_to: Uuid, lost: &[Uuid]) {
        static NEW: OncePerSecond = OncePerSecond::new();
        let before: Vec<_> = self.lost.range((Excluded(self.after), Included(up_to))).copied().collect();
        for id in &before {
            self.lost.remove(id);
        }
        for id in lost {
            if self.lost.len() < LOST_MAX {
                self.lost.insert(*id);
            }
            if !before.contains(id)
                && let Some(times) = NEW.count()
            {
                tracing::error!(times, order.id = %id, "an acknowledged order is lost");
            }
        }
        self.lost_now.set(rounded(self.lost.len()));
    }
}

statement! {
    #[derive(Debug, Clone, Copy)]
    struct FindLostOrders = "find_lost_orders.sql" -> (Nullable<SqlUuid>, Nullable<Integer>, Array<SqlUuid>) {
        after: Uuid as SqlUuid,
        low_water_mark: i64 as BigInt,
        most: i32 as Integer,
    }
}
