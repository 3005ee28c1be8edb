//! Writers of an older build, which know no facts, and of this build change the same orders. No fact gets lost.

use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use shared_events::{OrderEvent, OrderFacts, OrderItem, OrderStatus};
use tokio_postgres::{Client, SimpleQueryMessage};
use uuid::Uuid;
use write_api::command::{ChangeStatus, PlaceOrder, Precondition};
use write_api::domain::{
    CancelReason, Carrier, Cents, Currency, CustomerId, Order, OrderId, OrderLine, OrderLines, Quantity,
    Shipment, Sku, Step, TrackingNumber,
};
use write_api::port::OrderWriter;

use crate::support::SingleSessionWriter;

/// The statement of the last build without facts. It never changes.
const OLDER: &str = include_str!("../golden/older_build/save_batch.sql");
const ITEMS: &str = r#"[{"sku": "A", "quantity": 2, "price_cents": 100}]"#;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Build {
    Older,
    This,
}

/// The statuses of an order in sequence, each with the build of its writer.
type Path = Vec<(OrderStatus, Build)>;

/// Every path through the lifecycle, with every mixture of writers.
fn paths() -> Vec<Path> {
    use OrderStatus::{Cancelled, Delivered, Paid, Placed, Shipped};
    let statuses: [&[OrderStatus]; 6] = [
        &[Placed],
        &[Placed, Paid],
        &[Placed, Cancelled],
        &[Placed, Paid, Cancelled],
        &[Placed, Paid, Shipped],
        &[Placed, Paid, Shipped, Delivered],
    ];
    let mixtures = |path: &[OrderStatus]| -> Vec<Path> {
        let build =
            |mixture: u32, step: usize| if mixture >> step & 1 == 0 { Build::Older } else { Build::This };
        let writers =
            |mixture| path.iter().enumerate().map(|(step, status)| (*status, build(mixture, step))).collect();
        (0..1 << path.len()).map(writers).collect()
    };
    statuses.into_iter().flat_map(mixtures).collect()
}

/// The writer of the older build.
struct OlderWriter(Client);

impl OlderWriter {
    async fn new(session: Client) -> Result<Self> {
        let types = "uuid[], text[], text[], bigint[], text[], int[], timestamptz[], timestamptz[], text[], text[], \
                     bigint[]";
        session.batch_execute(&format!("PREPARE older_save ({types}) AS {OLDER}")).await?;
        Ok(Self(session))
    }

    async fn save(
        &self,
        order_id: Uuid,
        status: OrderStatus,
        version: i32,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let items = if version == 1 { format!("'{ITEMS}'") } else { "NULL".to_owned() };
        let now = now.to_rfc3339();
        let save = format!(
            "EXECUTE older_save (ARRAY['{order_id}']::uuid[], ARRAY['alice'], ARRAY[{items}]::text[], ARRAY[200],
             ARRAY['{status}'], ARRAY[{version}], ARRAY['{now}']::timestamptz[], ARRAY['{now}']::timestamptz[],
             ARRAY['order_{status}'], ARRAY['{{}}'], ARRAY[{version}])"
        );
        let saved = self.0.simple_query(&save).await?;
        anyhow::ensure!(
            saved.iter().any(|row| matches!(row, SimpleQueryMessage::Row(_))),
            "nothing was saved"
        );
        Ok(())
    }
}

/// This build's writer stores the step with these details.
fn step_to(status: OrderStatus) -> Result<Step> {
    Ok(match status {
        OrderStatus::Paid => Step::Pay,
        OrderStatus::Shipped => Step::Ship(Shipment {
            carrier: Some(Carrier::new("DHL".to_owned())?),
            tracking_number: Some(TrackingNumber::new("JD01".to_owned())?),
        }),
        OrderStatus::Delivered => Step::Deliver,
        OrderStatus::Cancelled => Step::Cancel(Some(CancelReason::new("late".to_owned())?)),
        OrderStatus::Placed => anyhow::bail!("not a step"),
    })
}

/// Adds what this change makes known.
fn expect(facts: &mut OrderFacts, status: OrderStatus, build: Build, now: DateTime<Utc>) {
    let details = build == Build::This;
    let detail = |text: &str| details.then(|| text.to_owned());
    match status {
        OrderStatus::Placed => facts.currency = detail("EUR"),
        OrderStatus::Paid => facts.paid_at = Some(now),
        OrderStatus::Shipped => {
            (facts.shipped_at, facts.carrier, facts.tracking_number) =
                (Some(now), detail("DHL"), detail("JD01"));
        }
        OrderStatus::Delivered => facts.delivered_at = Some(now),
        OrderStatus::Cancelled => (facts.cancelled_at, facts.cancel_reason) = (Some(now), detail("late")),
    }
}

/// The older build stores no time: it is `updated_at` until its own next step overwrites it.
fn forget_time(facts: &mut OrderFacts, status: OrderStatus) {
    match status {
        OrderStatus::Paid => facts.paid_at = None,
        OrderStatus::Shipped => facts.shipped_at = None,
        OrderStatus::Placed | OrderStatus::Delivered | OrderStatus::Cancelled => {}
    }
}

async fn place(writer: &impl OrderWriter, order_id: Uuid, now: DateTime<Utc>) -> Result<Order> {
    let line = OrderLine::new(Sku::new("A".to_owned())?, Quantity::new(2)?, Cents::new(100)?)?;
    let place = PlaceOrder {
        order_id: OrderId::chosen(order_id)?,
        customer: CustomerId::new("alice".to_owned())?,
        lines: OrderLines::new(vec![line])?,
        currency: Some(Currency::new("EUR")?),
    };
    Ok(place.run(writer, now).await?.order)
}

async fn newest_event(session: &Client) -> Result<OrderEvent> {
    let newest = "SELECT kind, payload::text FROM outbox ORDER BY id DESC LIMIT 1";
    let row = session.query_one(newest, &[]).await?;
    Ok(OrderEvent::decode(row.get(0), row.get(1))?)
}

#[tokio::test]
async fn no_fact_gets_lost_whichever_build_takes_which_step() -> Result<()> {
    let SingleSessionWriter { test_database, writer, .. } = SingleSessionWriter::open().await?;
    let older_writer = OlderWriter::new(test_database.connect().await?).await?;
    let session = test_database.connect().await?;
    let items = vec![OrderItem { sku: "A".to_owned(), quantity: 2, price_cents: 100 }];
    let start = DateTime::from_timestamp_micros(1_795_000_000_123_456).context("a time")?;
    for path in paths() {
        let order_id = Uuid::now_v7();
        let mut facts = OrderFacts::default();
        let mut before: Option<(OrderStatus, Build)> = None;
        for (version, (status, build)) in (1_i32..).zip(path.iter().copied()) {
            let now = start + TimeDelta::minutes(version.into());
            match (build, version) {
                (Build::Older, _) => {
                    older_writer.save(order_id, status, version, now).await?;
                    if let Some((status, Build::Older)) = before {
                        forget_time(&mut facts, status);
                    }
                }
                (Build::This, 1) => drop(place(&writer, order_id, now).await?),
                (Build::This, _) => {
                    let step = step_to(status)?;
                    let precondition = Precondition::OneOf(vec![version - 1]);
                    ChangeStatus { order_id, owner: None, step, precondition }.run(&writer, now).await?;
                }
            }
            expect(&mut facts, status, build, now);
            if build == Build::This {
                let event = newest_event(&session).await?;
                let found = OrderFacts { items: None, ..event.facts };
                assert_eq!(
                    (found, event.order.status),
                    (facts.clone(), status),
                    "event {version} of {path:?}"
                );
            }
            before = Some((status, build));
        }
        // Without the details, the row does not keep the time either: so a repeat of the step is not compared.
        if path.contains(&(OrderStatus::Shipped, Build::Older)) && path.last() != path.get(2) {
            facts.shipped_at = None;
        }
        let order = writer.find(order_id, None).await?.context("the order is gone")?;
        let expected = OrderFacts { items: Some(items.clone()), ..facts };
        assert_eq!(order.republished().facts, expected, "{path:?}");
    }
    Ok(())
}
