//! How long good events wait while some are refused all the time.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use local::services::ServiceKind;
use tokio_postgres::{Client, NoTls};

use super::UNKNOWN_TOTAL;
use crate::outbox::{last_id, wait_until_drained};
use crate::plan::Plan;
use crate::report::{Figure, Target};
use crate::stage::{Stage, stop};

const EVENTS_PER_SECOND: u32 = 500;
const WRITERS: u32 = 4;
/// One event in so many is refused.
const REFUSED_ONE_IN: u32 = 100;

/// An order and its event, as write-api stores them. $1 is a number that no other order has, $2 its total.
const PLACE: &str = r#"
    WITH new AS (SELECT lpad(to_hex($1::bigint), 32, '0')::uuid AS order_id, 'customer-' || $1::bigint AS customer_id, now() AS placed_at),
    placed AS (
        INSERT INTO orders (order_id, customer_id, items, total_cents, status, version, placed_at, updated_at)
        SELECT order_id, customer_id, '[{"sku": "SKU", "quantity": 1, "price_cents": 1}]', $2::bigint, 'placed', 1, placed_at, placed_at
        FROM new RETURNING order_id)
    INSERT INTO outbox (kind, payload)
    SELECT 'order_placed', json_build_object('event_id', order_id, 'schema_version', 1, 'occurred_at', placed_at,
        'order', json_build_object('order_id', order_id, 'customer_id', customer_id, 'status', 'placed', 'version', 1,
            'total_cents', $2::bigint, 'item_count', 1, 'last_item_sku', 'SKU', 'placed_at', placed_at),
        'items', json_build_array(json_build_object('sku', 'SKU', 'quantity', 1, 'price_cents', 1)))
    FROM new JOIN placed USING (order_id)"#;

pub(super) async fn measure(stage: &Stage, plan: Plan) -> Result<Figure> {
    let mut p99 = Vec::new();
    for _ in 0..plan.rounds {
        stage.empty().await?;
        let projector = stage.service(ServiceKind::Projector, &[]).await?;
        let writers = (0..WRITERS).map(|writer| write(stage, writer, plan.time));
        let mut written = 0;
        for writer in futures_util::future::join_all(writers).await {
            written += writer?;
        }
        let last = last_id(stage).await?;
        wait_until_drained(stage, last - i64::from(written) + 1, last).await?;
        stop(projector)?;
        ensure!(stage.count("parked_events").await? > 0, "nothing was refused");
        p99.push(late_ms(stage).await?);
    }
    let name = format!(
        "{EVENTS_PER_SECOND} events a second, 1 in {REFUSED_ONE_IN} refused: commit to visible of the others, p99"
    );
    Ok(Figure::new(name, "ms", p99).with(Target::AtMost(50.0)))
}

/// Its share of the events, evenly. Returns how many.
async fn write(stage: &Stage, writer: u32, time: Duration) -> Result<u32> {
    let (session, connection) = tokio_postgres::connect(&stage.database_url(), NoTls).await?;
    let connection = tokio::spawn(connection);
    let written = write_on(&session, writer, time).await;
    drop(session);
    connection.await??;
    written
}

async fn write_on(session: &Client, writer: u32, time: Duration) -> Result<u32> {
    let place = session.prepare(PLACE).await?;
    let mut tick = tokio::time::interval(Duration::from_secs(1) * WRITERS / EVENTS_PER_SECOND);
    let start = tokio::time::Instant::now();
    let mut written = 0;
    while start.elapsed() < time {
        tick.tick().await;
        written += 1;
        let number = written * WRITERS + writer;
        let total = if number.is_multiple_of(REFUSED_ONE_IN) { UNKNOWN_TOTAL } else { 1 };
        session.execute(&place, &[&i64::from(number), &total]).await?;
    }
    Ok(written)
}

/// The 99th percentile of the time between the two commits, in milliseconds.
async fn late_ms(stage: &Stage) -> Result<f64> {
    let query = "SELECT percentile_cont(0.99) WITHIN GROUP (ORDER BY 1000 * extract(epoch FROM
                     pg_xact_commit_timestamp(s.xmin) - pg_xact_commit_timestamp(o.xmin))::float8)
                 FROM orders o JOIN order_summary s USING (order_id)";
    stage.session.query_one(query, &[]).await?.get::<_, Option<f64>>(0).context("nothing was projected")
}
