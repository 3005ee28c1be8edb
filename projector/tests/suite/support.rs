//! A database for one test, events for it, and workers on it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use chrono::{DateTime, Utc};
use projector::RetryPolicy;
use projector::batch::{BatchError, BatchOutcome, BatchRunner, Source};
use projector::database;
use projector::metrics::Metrics;
use projector::projection::Projection;
use service_kit::database::{Database, DatabaseConfig, DatabaseError};
use shared_events::{EncodedEvent, OrderChange, OrderEvent, OrderFacts, OrderState, OrderStatus};
use testkit::test_database::TestDatabase;
use tokio_postgres::Client;
use uuid::Uuid;

pub(crate) struct Scene {
    pub(crate) database: TestDatabase,
    pub(crate) session: Client,
}

impl Scene {
    /// Begins a transaction whose event has a position, and is not committed.
    pub(crate) const BEGIN_EVENT: &str =
        "BEGIN; INSERT INTO outbox (kind, payload) VALUES ('order_gift_wrapped', '{}')";

    pub(crate) async fn create() -> Result<Self> {
        let database = TestDatabase::create().await?;
        let session = database.connect().await?;
        Ok(Self { database, session })
    }

    /// A new connection may take long, as on a busy machine: only tests of outages are about that limit.
    pub(crate) fn vars(&self) -> Vec<(String, String)> {
        let mut vars = vars_of(&self.database.url("orders_projector"));
        for name in ["DATABASE_CONNECT_TIMEOUT_MS", "DATABASE_POOL_WAIT_MS"] {
            vars.push((name.to_owned(), "20000".to_owned()));
        }
        vars
    }

    /// The same with one connection, whose prepared statements a test can read.
    pub(crate) fn open_one(&self) -> Result<Database> {
        let config = DatabaseConfig::from_vars(&self.vars())?.with_pool_size(1);
        Ok(database::open_for_batches(&config, "test")?)
    }

    pub(crate) fn open(&self) -> Result<Database> {
        Ok(database::open_for_batches(&DatabaseConfig::from_vars(&self.vars())?, "test")?)
    }

    pub(crate) fn worker(&self, batch_size: i64) -> Result<Arc<Worker>> {
        self.worker_with(projector::projections(), batch_size)
    }

    pub(crate) fn worker_with(
        &self,
        projections: Vec<Box<dyn Projection>>,
        batch_size: i64,
    ) -> Result<Arc<Worker>> {
        Ok(Arc::new(Worker::new(self.open()?, projections, batch_size)))
    }

    pub(crate) fn worker_with_retries(&self, batch_size: i64, retry_policy: RetryPolicy) -> Result<Worker> {
        Ok(Worker::with_retries(self.open()?, projector::projections(), batch_size, retry_policy))
    }

    pub(crate) async fn emit(&self, events: impl IntoIterator<Item = OrderEvent>) -> Result<()> {
        for event in events {
            let event = event.encode()?;
            self.emit_raw(event.kind, &event.payload).await?;
        }
        Ok(())
    }

    /// Inserts all events in one statement, in this order.
    pub(crate) async fn emit_all(&self, events: &[OrderEvent]) -> Result<()> {
        self.emit_encoded(&events.iter().map(OrderEvent::encode).collect::<Result<Vec<_>, _>>()?).await
    }

    /// The same for events of other builds.
    pub(crate) async fn emit_encoded(&self, events: &[EncodedEvent]) -> Result<()> {
        let (kinds, payloads): (Vec<_>, Vec<_>) =
            events.iter().map(|event| (event.kind, event.payload.as_str())).unzip();
        let insert = "INSERT INTO outbox (kind, payload) SELECT kind, payload::json
                      FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS e (kind, payload, position)
                      ORDER BY position";
        self.session.execute(insert, &[&kinds, &payloads]).await?;
        Ok(())
    }

    pub(crate) async fn emit_raw(&self, kind: &str, payload: &str) -> Result<()> {
        let insert = "INSERT INTO outbox (kind, payload) VALUES ($1, $2::text::json)";
        self.session.execute(insert, &[&kind, &payload]).await?;
        Ok(())
    }

    pub(crate) async fn count(&self, table: &str) -> Result<i64> {
        Ok(self.session.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await?.get(0))
    }

    /// Version and status of each order in the read model, by order id.
    pub(crate) async fn summaries(&self) -> Result<Vec<(String, i32, String)>> {
        let rows = "SELECT order_id::text, version, status FROM order_summary ORDER BY order_id";
        let rows = self.session.query(rows, &[]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
    }
}

/// The variables of a projector that takes any free ports and stops at once.
pub(crate) fn vars_of(database_url: &str) -> Vec<(String, String)> {
    let vars = [
        ("DATABASE_URL", database_url),
        ("PORT", "0"),
        ("ADMIN_PORT", "0"),
        ("AUTH", "off"),
        ("API_DOCS", "on"),
        ("SHUTDOWN_DELAY_MS", "0"),
    ];
    vars.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

/// A parked event is due after a pause that no test waits for.
pub(crate) const LATER: RetryPolicy =
    RetryPolicy { attempts: 5, retry_first: Duration::from_hours(1), retry_max: Duration::from_hours(9) };

/// A parked event is due at once.
pub(crate) const AT_ONCE: RetryPolicy =
    RetryPolicy { attempts: 3, retry_first: Duration::ZERO, retry_max: Duration::ZERO };

/// Runs batches of one size, one at a time.
pub(crate) struct Worker {
    runner: BatchRunner,
    batch_size: i64,
}

impl Worker {
    pub(crate) fn new(database: Database, projections: Vec<Box<dyn Projection>>, batch_size: i64) -> Self {
        Self::with_retries(database, projections, batch_size, LATER)
    }

    pub(crate) fn with_retries(
        database: Database,
        projections: Vec<Box<dyn Projection>>,
        batch_size: i64,
        retry_policy: RetryPolicy,
    ) -> Self {
        Self { runner: BatchRunner::new(database, projections, retry_policy, Metrics::noop()), batch_size }
    }

    pub(crate) async fn run_once(&self) -> Result<BatchOutcome, BatchError> {
        self.runner.run_once(Source::Outbox, self.batch_size).await
    }

    /// Where its next claim starts.
    pub(crate) fn low_water_mark(&self) -> i64 {
        self.runner.low_water_mark()
    }

    /// Tries waiting events.
    pub(crate) async fn apply_waiting_once(&self) -> Result<BatchOutcome, BatchError> {
        self.runner.run_once(Source::Waiting, self.batch_size).await
    }

    pub(crate) async fn is_anything_waiting(&self) -> Result<bool, DatabaseError> {
        self.runner.is_anything_waiting().await
    }

    /// Tries parked events that are due.
    pub(crate) async fn retry_once(&self) -> Result<BatchOutcome, BatchError> {
        self.runner.run_once(Source::Parked, self.batch_size).await
    }
}

/// Runs batches until no event is left, also none that waits for a short lock. Returns how many were applied and
/// parked.
pub(crate) async fn drain(worker: &Worker) -> Result<(usize, usize)> {
    let mut total = (0, 0);
    loop {
        let outcome = match worker.run_once().await? {
            BatchOutcome::Empty if !worker.is_anything_waiting().await? => return Ok(total),
            BatchOutcome::Empty => worker.apply_waiting_once().await?,
            outcome @ BatchOutcome::Committed { .. } => outcome,
        };
        if let BatchOutcome::Committed { applied, parked, .. } = outcome {
            total = (total.0 + applied, total.1 + parked);
        }
    }
}

pub(crate) fn order_id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// The event that gave an order this version. Its total depends on the version, so a row that mixes versions is
/// noticed.
pub(crate) fn event(order: u128, version: i32) -> OrderEvent {
    let (status, change) = match version {
        1 => (OrderStatus::Placed, OrderChange::Placed),
        2 => (OrderStatus::Paid, OrderChange::Paid),
        3 => (OrderStatus::Shipped, OrderChange::Shipped),
        _ => (OrderStatus::Delivered, OrderChange::Delivered),
    };
    let state = OrderState {
        order_id: order_id(order),
        customer_id: "customer".to_owned(),
        status,
        version,
        total_cents: i64::from(version) * 100,
        item_count: 1,
        last_item_sku: "sku".to_owned(),
        placed_at: placed_at(),
    };
    let items = (version == 1).then(Vec::new);
    OrderEvent::new(state, OrderFacts { items, ..OrderFacts::default() }, change, placed_at())
}

pub(crate) fn placed_at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).unwrap_or_default()
}
