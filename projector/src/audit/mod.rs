//! Whether acknowledged orders are lost. A page of orders at a time, round and round: each must be in the read
//! model with its newest version, or on its way there, and each summary must have its order.

mod pace;
mod round;

use std::collections::{BTreeSet, HashSet};
use std::ops::Bound::{Excluded, Included};
use std::sync::Arc;
use std::time::Instant;

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

pub use self::pace::AuditConfig;
use self::pace::{PAGE_EVERY, Pace};
use self::round::Round;
use crate::outbox::LowWaterMark;

/// Ids that are remembered at most.
const LOST_MAX: usize = 10_000;

const LOST: &str = "orders_audit_lost_orders";
const CHECKED: &str = "orders_audit_orders_checked_total";
const PAGES: &str = "orders_audit_pages_total";

/// Audits the orders. Every process does this, each from a random order on.
pub(crate) struct Audit {
    database: Database,
    low_water_mark: Arc<LowWaterMark>,
    /// None if this process audits nothing.
    pace: Option<Pace>,
    /// The last order of the page before.
    after: Uuid,
    /// None once all orders were checked.
    first_round: Option<Round>,
    /// The orders that were found lost, and not found since.
    lost: BTreeSet<Uuid>,
    lost_now: Gauge,
    checked: Counter,
    pages: Counter,
}

/// What the function says of a page: its last id, its orders, and those that are lost with their versions.
type Page = (Option<Uuid>, Option<i32>, Vec<Uuid>, Vec<i32>);

impl Audit {
    pub(crate) fn new(
        config: AuditConfig,
        database: Database,
        low_water_mark: Arc<LowWaterMark>,
        registry: &Registry,
    ) -> Self {
        let pace = config.pace();
        registry.register(|| {
            describe_gauge!(
                LOST,
                "Acknowledged orders that are lost: neither in the read model with their newest version nor on their \
                 way there, or there without their order. Found by a check of some orders a second; up to 10000. NaN \
                 while none is found and not all were checked since the start; missing with AUDIT_ORDERS_PER_S=0."
            );
            describe_counter!(CHECKED, "Orders that were checked for being lost.");
            describe_counter!(
                PAGES,
                "Pages of orders that were checked for being lost. None while more than 5000 events are not projected."
            );
            // A process that checks nothing has no series: the alert waits for each that has one.
            let lost_now = if pace.is_some() { gauge!(LOST) } else { Gauge::noop() };
            lost_now.set(f64::NAN);
            let (checked, pages) = (counter!(CHECKED), counter!(PAGES));
            let (after, lost) = (Uuid::new_v4(), BTreeSet::new());
            let first_round = Some(Round::begin(after));
            Self { database, low_water_mark, pace, after, first_round, lost, lost_now, checked, pages }
        })
    }

    /// Runs until the stop signal.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let Some(mut pace) = self.pace.take() else { return stop.cancelled().await };
        let checking = async {
            let mut pause = PAGE_EVERY;
            loop {
                tokio::time::sleep(pause).await;
                let began = Instant::now();
                let checked = self.check_page(pace.page()).await;
                pause = pace.queried(began.elapsed(), checked.is_ok());
                if let Err(error) = checked {
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

    async fn check_page(&mut self, most: i32) -> Result<(), DatabaseError> {
        let find = FindLostOrders { after: self.after, low_water_mark: self.low_water_mark.get(), most };
        let page = self.database.read(|connection| {
            async move { RunQueryDsl::get_result::<Page>(find, connection).await }.boxed()
        });
        // Without a last id, too much is on its way to say anything.
        let (Some(up_to), checked, lost, versions) = page.await? else { return Ok(()) };
        self.pages.increment(1);
        self.checked.increment(u64::try_from(checked.unwrap_or_default()).unwrap_or_default());
        self.first_round = self.first_round.and_then(|round| round.checked(up_to));
        self.remember(up_to, &lost, &versions);
        self.after = if up_to == Uuid::max() { Uuid::nil() } else { up_to };
        Ok(())
    }

    /// Of the ids of this page, these are lost. The log has no trace of them: their events are gone.
    fn remember(&mut self, up_to: Uuid, lost: &[Uuid], versions: &[i32]) {
        static NEW: OncePerSecond = OncePerSecond::new();
        let before: HashSet<_> = self.lost.range((Excluded(self.after), Included(up_to))).copied().collect();
        for id in &before {
            self.lost.remove(id);
        }
        for (id, version) in lost.iter().zip(versions) {
            if self.lost.len() < LOST_MAX {
                self.lost.insert(*id);
            }
            if !before.contains(id)
                && let Some(times) = NEW.count()
            {
                tracing::error!(times, order.id = %id, order.version = version, "an acknowledged order is lost");
            }
        }
        // Orders that an earlier process has found may not have been reached yet.
        let is_known = self.first_round.is_none() || !self.lost.is_empty();
        self.lost_now.set(if is_known { rounded(self.lost.len()) } else { f64::NAN });
    }
}

statement! {
    #[derive(Debug, Clone, Copy)]
    struct FindLostOrders = "find_lost_orders.sql" -> (
        Nullable<SqlUuid>, Nullable<Integer>, Array<SqlUuid>, Array<Integer>
    ) {
        after: Uuid as SqlUuid,
        low_water_mark: i64 as BigInt,
        most: i32 as Integer,
    }
}
