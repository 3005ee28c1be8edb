//! A read-api with orders, and a browser with its dashboard.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use testkit::services::{Service, ServiceBinaries, ServiceKind};
use testkit::test_database::TestDatabase;
use tokio_postgres::Client;

use crate::browser::Browser;

/// The id of the order with this number.
pub(crate) fn id(number: i32) -> String {
    format!("00000000-0000-0000-0000-{number:012}")
}

/// The build directory.
pub(crate) fn target() -> Result<PathBuf> {
    Ok(Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("no target directory")?.to_owned())
}

/// The properties of an order besides its number.
pub(crate) struct Order<'a> {
    pub(crate) customer: &'a str,
    pub(crate) total_cents: i64,
    pub(crate) item_count: i32,
    pub(crate) sku: &'a str,
}

pub(crate) struct Scene {
    pub(crate) browser: Browser,
    /// A superuser's session.
    pub(crate) session: Client,
    pub(crate) url: String,
    service: Option<Service>,
    database: TestDatabase,
    logs: tempfile::TempDir,
}

impl Scene {
    /// With 45 numbered orders of alice, one per minute, and no others. `None` without a browser.
    pub(crate) async fn create() -> Result<Option<Self>> {
        Self::create_with(&[]).await
    }

    /// The same with additional or changed environment variables of read-api.
    pub(crate) async fn create_with(variables: &[(&str, &str)]) -> Result<Option<Self>> {
        let Some(browser) = Browser::start().await? else { return Ok(None) };
        let (database, logs) = (TestDatabase::create().await?, tempfile::tempdir()?);
        let session = database.connect().await?;
        let mut scene = Self { browser, session, url: String::new(), service: None, database, logs };
        for number in 1..=45 {
            scene.place(number).await?;
        }
        scene.start(0, variables).await?;
        Ok(Some(scene))
    }

    async fn start(&mut self, port: u16, variables: &[(&str, &str)]) -> Result<()> {
        let kind = ServiceKind::ReadApi;
        let program = ServiceBinaries::built().await?.program(kind);
        let url = self.database.url(kind.role());
        let mut service = Service::start_with(variables, kind, &program, &url, port, self.logs.path())?;
        service.wait_until_ready().await?;
        service.url().clone_into(&mut self.url);
        self.service = Some(service);
        Ok(())
    }

    pub(crate) fn stop(&mut self) -> Result<()> {
        self.service.take().map(Service::stop).transpose()?;
        Ok(())
    }

    /// On the same port.
    pub(crate) async fn start_again(&mut self, variables: &[(&str, &str)]) -> Result<()> {
        let port = self.url.rsplit(':').next().context("no port")?.parse()?;
        self.start(port, variables).await
    }

    pub(crate) async fn open(&self, fragment: &str) -> Result<()> {
        self.browser.open(&format!("{}/#{fragment}", self.url)).await
    }

    /// A new order of alice; every third one is paid.
    pub(crate) async fn place(&self, number: i32) -> Result<()> {
        let skus = ["TEA-EARL-GREY", "POT-IRON", "CUP-PORCELAIN-BLUE-200ML"];
        let sku = skus.iter().cycle().nth(usize::try_from(number)? % skus.len()).context("no SKU")?;
        let order = Order {
            customer: "alice",
            total_cents: 1_999 + 100 * i64::from(number),
            item_count: 1 + number % 3,
            sku,
        };
        self.place_order(number, &order).await
    }

    /// A new order.
    pub(crate) async fn place_order(&self, number: i32, order: &Order<'_>) -> Result<()> {
        let insert = "INSERT INTO order_summary
            (order_id, customer_id, total_cents, status, placed_at, item_count, last_item_sku, version)
            SELECT lpad($1::int::text, 32, '0')::uuid, $2, $3, CASE $1::int % 3 WHEN 0 THEN 'paid' ELSE 'placed' END,
                   timestamptz '2026-11-23 10:00:00.123456Z' + $1::int * interval '1 minute', $4, $5, 1";
        let Order { customer, total_cents, item_count, sku } = order;
        self.session.execute(insert, &[&number, customer, total_cents, item_count, sku]).await?;
        Ok(())
    }

    /// A step.
    pub(crate) async fn change(&self, number: i32, status: &str) -> Result<()> {
        self.set(number, &format!("version = version + 1, status = '{status}'")).await
    }

    /// Sets columns of an order, as the projector does.
    pub(crate) async fn set(&self, number: i32, columns: &str) -> Result<()> {
        let update = format!(
            "UPDATE order_summary SET {columns}, changed_in = pg_current_xact_id()::text::bigint
             WHERE order_id = '{}'",
            id(number)
        );
        let rows = self.session.execute(&update, &[]).await?;
        anyhow::ensure!(rows == 1, "there is no order {number}");
        Ok(())
    }

    /// Ends the service's sessions and refuses new ones. The scene's own session stays.
    pub(crate) async fn refuse_connections(&self) -> Result<()> {
        self.with_connecting("REVOKE CONNECT ON DATABASE %I FROM orders_read_api").await?;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        self.session.execute(end, &[]).await?;
        Ok(())
    }

    pub(crate) async fn allow_connections(&self) -> Result<()> {
        self.with_connecting("GRANT CONNECT ON DATABASE %I TO orders_read_api").await
    }

    async fn with_connecting(&self, statement: &str) -> Result<()> {
        let block = format!("DO $$ BEGIN EXECUTE format('{statement}', current_database()); END $$");
        Ok(self.session.batch_execute(&block).await?)
    }

    /// Waits until the list shows these orders.
    pub(crate) async fn until_orders(&self, numbers: impl IntoIterator<Item = i32>) -> Result<()> {
        let names: Vec<_> = numbers.into_iter().map(id).collect();
        self.browser.until_texts(".open", &names).await
    }

    /// The end of each test: the console has no errors.
    pub(crate) async fn is_quiet(&self) -> Result<()> {
        assert_eq!(self.browser.console().await?, [""; 0]);
        Ok(())
    }
}
