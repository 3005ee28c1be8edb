//! A database with the example's tables, events for it, and what it has added up.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use migrate::Addition;
use projector::RetryPolicy;
use projector::batch::{BatchOutcome, BatchRunner, Source};
use projector::metrics::Metrics;
use projector::projection::Projection;
use projector::subscription::{ReadModelSteps, Start, create};
use reqwest::Response;
use revenue::api::Config;
use service_kit::database::{Database, DatabaseConfig};
use shared_events::OrderEvent;
use testkit::test_database::TestDatabase;
use tokio_postgres::Client;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::orders::Sums;

/// Time limit for everything that should happen soon.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// An event that is refused is not tried again during a test.
const LATER: RetryPolicy =
    RetryPolicy { attempts: 5, retry_first: Duration::from_hours(1), retry_max: Duration::from_hours(9) };

pub(crate) struct Scene {
    pub(crate) database: TestDatabase,
    pub(crate) session: Client,
}

/// The migrations of the example.
pub(crate) fn migrations() -> Result<Addition> {
    Ok(Addition::new("revenue", &Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations"))?)
}

impl Scene {
    pub(crate) async fn create() -> Result<Self> {
        let database = TestDatabase::create().await?;
        migrations()?.up(&database.superuser_url()).await?;
        let session = database.connect().await?;
        Ok(Self { database, session })
    }

    /// As the projector uses it, with one connection.
    pub(crate) fn open(&self) -> Result<Database> {
        let vars = vec![("DATABASE_URL".to_owned(), self.database.url("orders_projector"))];
        let config = DatabaseConfig::from_vars(&vars)?.with_pool_size(1);
        Ok(projector::database::open_for_batches(&config, "test")?)
    }

    /// The claim, as it is without the example.
    pub(crate) fn claim(&self) -> Result<Arc<BatchRunner>> {
        let runner = BatchRunner::new(self.open()?, projector::projections(), LATER, Metrics::noop());
        Ok(Arc::new(runner))
    }

    /// The batches of a read model, which has a subscription.
    pub(crate) fn steps(&self, read_model: impl Projection + 'static) -> Result<ReadModelSteps> {
        self.steps_with_retries(read_model, LATER)
    }

    /// The same with other retries of parked events.
    pub(crate) fn steps_with_retries(
        &self,
        read_model: impl Projection + 'static,
        retry_policy: RetryPolicy,
    ) -> Result<ReadModelSteps> {
        Ok(ReadModelSteps::new(self.open()?, Box::new(read_model), retry_policy, 1 << 20))
    }

    /// Creates a subscription that begins at the oldest event of the log.
    pub(crate) async fn subscribe(&self, name: &str) -> Result<()> {
        let mut session = self.open()?.session().await?;
        create(&mut session, name, Start::Oldest).await?;
        session.give_back();
        Ok(())
    }

    /// Writes events to the outbox, as write-api does.
    pub(crate) async fn emit(&self, events: &[OrderEvent]) -> Result<()> {
        emit(&self.session, events).await
    }

    /// Moves all events from the outbox to the log.
    pub(crate) async fn log_all(&self) -> Result<()> {
        log_all(&*self.claim()?).await
    }

    /// Removes all events from the log, as when their partitions expire.
    pub(crate) async fn expire_log(&self) -> Result<()> {
        let expire = "UPDATE event_log_state SET missing_up_to = (SELECT max(position) FROM event_log);
                      DELETE FROM event_log";
        Ok(self.session.batch_execute(expire).await?)
    }

    /// The sums of a read model, whose schema is `model`.
    pub(crate) async fn sums(&self, model: &str) -> Result<Sums> {
        let by_month = format!(
            "SELECT month, currency, orders, revenue_cents::text FROM {model}.by_month WHERE orders <> 0"
        );
        let by_sku = format!("SELECT sku, orders, units FROM {model}.by_sku WHERE orders <> 0");
        let mut sums = Sums::default();
        for row in self.session.query(&by_month, &[]).await? {
            let cents: String = row.get(3);
            sums.by_month.insert((row.get(0), row.get(1)), (row.get(2), cents.parse()?));
        }
        for row in self.session.query(&by_sku, &[]).await? {
            sums.by_sku.insert(row.get(0), (row.get(1), row.get(2)));
        }
        Ok(sums)
    }

    /// A number that a query returns.
    pub(crate) async fn number(&self, query: &str) -> Result<i64> {
        Ok(self.session.query_one(query, &[]).await?.get(0))
    }
}

/// Writes events to the outbox in one statement, in this order.
pub(crate) async fn emit(session: &Client, events: &[OrderEvent]) -> Result<()> {
    let events = events.iter().map(OrderEvent::encode).collect::<Result<Vec<_>, _>>()?;
    let (kinds, payloads): (Vec<_>, Vec<_>) =
        events.iter().map(|event| (event.kind, event.payload.as_str())).unzip();
    let insert = "INSERT INTO outbox (kind, payload) SELECT kind, payload::json
                  FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS e (kind, payload, position)
                  ORDER BY position";
    session.execute(insert, &[&kinds, &payloads]).await?;
    Ok(())
}

/// Claims until the outbox is empty.
pub(crate) async fn log_all(claim: &BatchRunner) -> Result<()> {
    while claim.run_once(Source::Outbox, 1_000).await? != BatchOutcome::Empty {}
    Ok(())
}

/// A running read service; dropping it stops it.
pub(crate) struct Api {
    pub(crate) url: String,
    /// The URL of its probes.
    pub(crate) admin_url: String,
    _stop: DropGuard,
}

impl Api {
    pub(crate) fn start(database: &TestDatabase) -> Result<Self> {
        let vars = [
            ("DATABASE_URL", database.url("orders_revenue")),
            ("PORT", "0".to_owned()),
            ("ADMIN_PORT", "0".to_owned()),
            ("AUTH", "off".to_owned()),
            ("API_DOCS", "on".to_owned()),
            ("HTTP_WORKERS", "1".to_owned()),
            ("SHUTDOWN_DELAY_MS", "0".to_owned()),
        ];
        let vars = vars.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let stop = CancellationToken::new();
        let server = revenue::api::bind(&Config::from_vars(&vars)?, stop.clone())?;
        let url = format!("http://{}", server.address());
        let admin_url = format!("http://{}", server.admin_address());
        tokio::spawn(server.run());
        Ok(Self { url, admin_url, _stop: stop.drop_guard() })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Response> {
        Ok(reqwest::get(format!("{}{path}", self.url)).await?)
    }
}
