//! Makes and drops partitions, and publishes how far the ids are settled.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel::sql_types::{Bool, Integer};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::FutureExt;
use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use service_kit::database::{Database, DatabaseError};
use service_kit::health::{Condition, Health};
use service_kit::metrics::Registry;
use service_kit::overload::OncePerSecond;
use service_kit::statement;
use service_kit::telemetry::chain;
use tokio_util::sync::CancellationToken;

use super::{EventLog, settled};
use crate::outbox::LowWaterMark;

/// How often partitions are looked at, and settled ids are published although no reader waits.
const ROUND_EVERY: Duration = Duration::from_secs(10);
/// How often the metric of the hole is set, if no reader waits.
const HOLE_EVERY: Duration = Duration::from_secs(1);
/// How often settled ids are published while a reader waits at a hole.
const PUBLISH_EVERY: Duration = Duration::from_millis(10);

/// Keeps the event log in order. Every process does this; the database lets one at a time make or drop partitions.
pub(crate) struct Upkeep {
    database: Database,
    log: EventLog,
    low_water_mark: Arc<LowWaterMark>,
    hole_age: Gauge,
    trigger_runs: Gauge,
    may_claim: Condition,
    failures: Counter,
}

static FAILED: OncePerSecond = OncePerSecond::new();

impl Upkeep {
    /// `registry` exports for how long readers of `log` have waited at a hole. `health` is not ready while nothing is
    /// claimed because the log would miss it.
    pub(crate) fn new(
        database: Database,
        log: EventLog,
        low_water_mark: Arc<LowWaterMark>,
        health: &Health,
        registry: &Registry,
    ) -> Self {
        let may_claim = health.add_condition("The trigger that logs the events of the outbox does not run.");
        may_claim.set(true);
        let (hole_age, trigger_runs, failures) = registry.register(|| {
            describe_gauge!(
                "orders_event_log_hole_age_seconds",
                "For how long subscriptions of this process have waited for a transaction that writes to the outbox; 0 \
                 if they do not wait."
            );
            describe_gauge!(
                "orders_event_log_trigger_runs",
                "1 if the trigger runs that logs the events that leave the outbox; 0 if it does not, and nothing is \
                 projected; NaN if it is not known."
            );
            describe_counter!(
                "orders_event_log_upkeep_failures_total",
                "Failures to make or drop partitions of the event log, to publish which positions are settled, or \
                 to find out whether its trigger runs."
            );
            let trigger_runs = gauge!("orders_event_log_trigger_runs");
            trigger_runs.set(f64::NAN);
            let failures = counter!("orders_event_log_upkeep_failures_total");
            (gauge!("orders_event_log_hole_age_seconds"), trigger_runs, failures)
        });
        Self { database, log, low_water_mark, hole_age, trigger_runs, may_claim, failures }
    }

    /// Runs until the stop signal.
    pub(crate) async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.keep_up()).await;
    }

    async fn keep_up(self) {
        let mut next_round = Instant::now();
        loop {
            if Instant::now() >= next_round {
                next_round = Instant::now() + ROUND_EVERY;
                self.report(self.check_trigger().await, "find out whether its trigger runs");
                self.report(self.create_partitions().await, "make partitions");
                self.report(self.drop_partition().await, "drop an expired partition");
                self.report(self.publish_settled().await, "publish settled ids");
                self.report(self.remove_settled().await, "remove settled ids");
            }
            let hole = self.log.hole();
            if hole.was_reported_within(HOLE_EVERY).await {
                self.report(self.settle().await, "publish settled ids, for which readers wait");
                hole.log_if_old();
                tokio::time::sleep(PUBLISH_EVERY).await;
            }
            self.hole_age.set(hole.age().as_secs_f64());
        }
    }

    /// The claim checks it too, in its own statement: this only says why nothing is claimed.
    async fn check_trigger(&self) -> Result<(), DatabaseError> {
        let runs = self.database.read(|connection| trigger_runs(connection).boxed()).await;
        let gauge = match runs {
            Ok(true) => 1.0,
            Ok(false) => 0.0,
            Err(_) => f64::NAN,
        };
        self.trigger_runs.set(gauge);
        let runs = runs?;
        self.may_claim.set(runs);
        if !runs {
            tracing::error!(
                "nothing is projected: the trigger that logs the events of the outbox does not run"
            );
        }
        Ok(())
    }

    async fn create_partitions(&self) -> Result<(), DatabaseError> {
        let made = self
            .database
            .run(|connection| RunQueryDsl::get_result::<i32>(CreatePartitions {}, connection).boxed());
        let made = made.await?;
        if made > 0 {
            tracing::info!(made, "partitions of the event log were made");
        }
        Ok(())
    }

    async fn drop_partition(&self) -> Result<(), DatabaseError> {
        let dropped = self
            .database
            .run(|connection| RunQueryDsl::get_result::<i32>(DropPartition {}, connection).boxed());
        let dropped = dropped.await?;
        if dropped > 0 {
            tracing::info!(dropped, "expired partitions of the event log were dropped");
        }
        Ok(())
    }

    async fn publish_settled(&self) -> Result<(), DatabaseError> {
        let Some((below, run)) = self.low_water_mark.settled().await else { return Ok(()) };
        self.database.run(move |connection| settled::publish(connection, below, run).boxed()).await
    }

    async fn remove_settled(&self) -> Result<(), DatabaseError> {
        self.database.run(|connection| settled::remove_lower(connection).boxed()).await
    }

    /// A reader waits at a hole: finds out whether it is settled, without waiting for the next batch to do so.
    async fn settle(&self) -> Result<(), DatabaseError> {
        self.low_water_mark.advance_for_readers(&self.database).await?;
        self.publish_settled().await
    }

    fn report(&self, result: Result<(), DatabaseError>, what: &'static str) {
        let Err(error) = result else { return };
        self.failures.increment(1);
        if let Some(times) = FAILED.count() {
            tracing::warn!(
                times,
                what,
                error = chain(&error),
                "the event log is not kept up; this is tried again"
            );
        }
    }
}

/// Whether the trigger runs, in this session, that logs each event that leaves the outbox. Nothing is claimed
/// otherwise.
pub async fn trigger_runs(connection: &mut AsyncPgConnection) -> QueryResult<bool> {
    RunQueryDsl::get_result(TriggerRuns {}, connection).await
}

statement! {
    struct TriggerRuns = "trigger_runs.sql" -> Bool {}
}

statement! {
    struct CreatePartitions = "create_partitions.sql" -> Integer {}
}

statement! {
    struct DropPartition = "drop_partition.sql" -> Integer {}
}
