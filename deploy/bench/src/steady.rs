//! Orders at a steady rate, and the delay of their events.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio_postgres::Client;

use crate::stage::Stage;

const WRITERS: u32 = 4;

/// An order and its event, as write-api stores them. $1 is a unique number, $2 the total.
const PLACE: &str = r#"
    WITH new AS (
        SELECT lpad(to_hex($1::bigint), 32, '0')::uuid AS order_id, 'customer-' || $1::bigint AS customer_id,
            now() AS placed_at),
    placed AS (
        INSERT INTO orders (order_id, customer_id, items, total_cents, status, version, placed_at, updated_at)
        SELECT order_id, customer_id, '[{"sku": "SKU", "quantity": 1, "price_cents": 1}]', $2::bigint, 'placed', 1,
            placed_at, placed_at
        FROM new RETURNING order_id)
    INSERT INTO outbox (kind, payload)
    SELECT 'order_placed', json_build_object('event_id', order_id, 'schema_version', 1, 'occurred_at', placed_at,
        'order', json_build_object('order_id', order_id, 'customer_id', customer_id, 'status', 'placed', 'version', 1,
            'total_cents', $2::bigint, 'item_count', 1, 'last_item_sku', 'SKU', 'placed_at', placed_at),
        'items', json_build_array(json_build_object('sku', 'SKU', 'quantity', 1, 'price_cents', 1)))
    FROM new JOIN placed USING (order_id)"#;

/// Four sessions that write orders as write-api does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SteadyOrders {
    pub(crate) per_second: u32,
    /// The order numbers are greater than this.
    pub(crate) after: i64,
    /// The total of every hundredth order; others have 1.
    pub(crate) every_hundredth: i64,
}

impl SteadyOrders {
    /// Writes for this long. Returns the number of orders.
    pub(crate) async fn write(self, stage: &Stage, time: Duration) -> Result<u32> {
        let writers = (0..WRITERS).map(|writer| self.write_share(stage, writer, time));
        let mut written = 0;
        for writer in futures_util::future::join_all(writers).await {
            written += writer?;
        }
        Ok(written)
    }

    async fn write_share(self, stage: &Stage, writer: u32, time: Duration) -> Result<u32> {
        let (session, connection) = service_kit::database::connect(&stage.database_url()).await?;
        let connection = tokio::spawn(connection);
        let written = self.write_on(&session, writer, time).await;
        drop(session);
        connection.await??;
        written
    }

    async fn write_on(self, session: &Client, writer: u32, time: Duration) -> Result<u32> {
        let place = session.prepare(PLACE).await?;
        let mut tick = tokio::time::interval(Duration::from_secs(1) * WRITERS / self.per_second);
        let start = tokio::time::Instant::now();
        let mut written = 0;
        while start.elapsed() < time {
            tick.tick().await;
            written += 1;
            let number = written * WRITERS + writer;
            let total = if number.is_multiple_of(100) { self.every_hundredth } else { 1 };
            session.execute(&place, &[&(self.after + i64::from(number)), &total]).await?;
        }
        Ok(written)
    }

    /// This percentile of the time from an order's commit to its summary's, in milliseconds, for orders above
    /// [`Self::after`] and at most a million higher.
    pub(crate) async fn delay_ms(self, stage: &Stage, percentile: f64) -> Result<f64> {
        let query = "SELECT percentile_cont($1) WITHIN GROUP (ORDER BY 1000 * extract(epoch FROM
                         pg_xact_commit_timestamp(s.xmin) - pg_xact_commit_timestamp(o.xmin))::float8)
                     FROM orders o JOIN order_summary s USING (order_id)
                     WHERE order_id > lpad(to_hex($2::bigint), 32, '0')::uuid
                     AND order_id <= lpad(to_hex($2::bigint + 1000000), 32, '0')::uuid";
        let delay = stage.session.query_one(query, &[&percentile, &self.after]).await?;
        delay.get::<_, Option<f64>>(0).context("nothing was projected")
    }
}
