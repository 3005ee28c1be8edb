//! The contract of `OrderWriter`, tested on PostgreSQL and on an in-memory fake.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;
use chrono::{DateTime, Utc};
use service_kit::database::DatabaseConfig;
use service_kit::metrics::Registry;
use service_kit::tasks::CriticalTasks;
use shared_events::OrderEvent;
use testkit::test_database::TestDatabase;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use write_api::BY_KEY_ONLY;
use write_api::adapter::postgres::{Limits, PgOrderWriter};
use write_api::budget::Budget;
use write_api::command::{ChangeStatus, ChangeStatusError, PlaceOrder, PlaceOrderError, Precondition};
use write_api::domain::{
    CancelReason, Carrier, Cents, ContentDifference, Currency, CustomerId, Order, OrderId, OrderLine,
    OrderLines, Quantity, Shipment, Sku, Step, TrackingNumber,
};
use write_api::port::{OrderWriter, SaveResult, WriteError};

/// Orders and events in memory.
#[derive(Default)]
struct InMemory(Mutex<(HashMap<Uuid, Order>, Vec<Uuid>)>);

impl OrderWriter for InMemory {
    async fn save(&self, order: &Order, event: OrderEvent) -> Result<SaveResult, WriteError> {
        let mut state = self.0.lock().map_err(|_| WriteError::Busy)?;
        let (orders, events) = &mut *state;
        match orders.get(&order.id()) {
            Some(stored) if stored.version() != order.version() - 1 => {
                return Ok(SaveResult::Conflict(Box::new(stored.clone())));
            }
            None if order.version() != 1 => return Err(WriteError::Refused("the order is gone".into())),
            _ => {}
        }
        orders.insert(order.id(), order.clone());
        events.push(event.event_id);
        Ok(SaveResult::Stored)
    }

    async fn find(&self, order_id: Uuid, owner: Option<&CustomerId>) -> Result<Option<Order>, WriteError> {
        let found = self.0.lock().map_err(|_| WriteError::Busy)?.0.get(&order_id).cloned();
        Ok(found.filter(|order| owner.is_none_or(|owner| order.customer() == owner)))
    }
}

/// A writer under test and its events.
trait Subject {
    type Writer: OrderWriter;
    fn writer(&self) -> &Self::Writer;
    async fn events(&self) -> Result<usize>;
}

impl Subject for InMemory {
    type Writer = Self;

    fn writer(&self) -> &Self {
        self
    }

    async fn events(&self) -> Result<usize> {
        Ok(self.0.lock().map_err(|_| anyhow::anyhow!("poisoned"))?.1.len())
    }
}

struct InPostgres {
    writer: PgOrderWriter,
    database: TestDatabase,
}

impl InPostgres {
    async fn start() -> Result<Self> {
        let database = TestDatabase::create().await?;
        let vars = vec![("DATABASE_URL".to_owned(), database.url("orders_write_api"))];
        let opened = DatabaseConfig::from_vars(&vars)?.with_settings(BY_KEY_ONLY).open("contract")?;
        let limits =
            Limits { write_queue: 64, budget: Budget::new(1 << 24), write_deadline: Duration::from_secs(5) };
        Ok(Self {
            writer: PgOrderWriter::start(
                opened.clone(),
                opened,
                limits,
                &CriticalTasks::new(CancellationToken::new()),
                &Registry::new(&[])?,
            ),
            database,
        })
    }
}

impl Subject for InPostgres {
    type Writer = PgOrderWriter;

    fn writer(&self) -> &PgOrderWriter {
        &self.writer
    }

    async fn events(&self) -> Result<usize> {
        let count: i64 =
            self.database.connect().await?.query_one("SELECT count(*) FROM outbox", &[]).await?.get(0);
        Ok(usize::try_from(count)?)
    }
}

fn now() -> DateTime<Utc> {
    Utc::now()
}

fn lines(quantity: i64) -> Result<OrderLines> {
    let line = OrderLine::new(Sku::new("A".to_owned())?, Quantity::new(quantity)?, Cents::new(100)?)?;
    Ok(OrderLines::new(vec![line])?)
}

fn new_order() -> Result<(Order, OrderEvent)> {
    let customer = CustomerId::new("customer".to_owned())?;
    Ok(Order::place(Uuid::now_v7(), customer, lines(1)?, Some(Currency::new("EUR")?), now()))
}

async fn a_saved_order_is_found_again(subject: &impl Subject) -> Result<()> {
    let writer = subject.writer();
    let (order, event) = new_order()?;
    assert_eq!(writer.find(order.id(), None).await?, None);
    assert_eq!(writer.save(&order, event).await?, SaveResult::Stored);
    assert_eq!(writer.find(order.id(), None).await?.as_ref(), Some(&order));
    assert_eq!(writer.find(order.id(), Some(order.customer())).await?.as_ref(), Some(&order));
    assert_eq!(writer.find(order.id(), Some(&CustomerId::new("another".to_owned())?)).await?, None);
    let (paid, event) = order.pay(now())?;
    assert_eq!(writer.save(&paid, event).await?, SaveResult::Stored);
    assert_eq!(writer.find(order.id(), None).await?.as_ref(), Some(&paid));
    let shipment = Shipment {
        carrier: Some(Carrier::new("DHL".to_owned())?),
        tracking_number: Some(TrackingNumber::new("JD01".to_owned())?),
    };
    let (shipped, event) = paid.ship(&shipment, now())?;
    assert_eq!(writer.save(&shipped, event).await?, SaveResult::Stored);
    assert_eq!(writer.find(order.id(), None).await?.as_ref(), Some(&shipped));
    let (delivered, event) = shipped.deliver(now())?;
    assert_eq!(writer.save(&delivered, event).await?, SaveResult::Stored);
    assert_eq!(writer.find(order.id(), None).await?, Some(delivered));
    assert_eq!(subject.events().await?, 4);

    let (order, event) = new_order()?;
    writer.save(&order, event).await?;
    let reason = CancelReason::new("wrong size".to_owned())?;
    let (cancelled, event) = order.cancel(Some(&reason), now())?;
    assert_eq!(writer.save(&cancelled, event).await?, SaveResult::Stored);
    assert_eq!(writer.find(order.id(), None).await?, Some(cancelled));
    Ok(())
}

async fn a_stored_order_stays_and_is_returned(subject: &impl Subject) -> Result<()> {
    let writer = subject.writer();
    let before = subject.events().await?;
    let (order, event) = new_order()?;
    let (repeat, repeat_event) =
        Order::place(order.id(), CustomerId::new("repeat".to_owned())?, lines(2)?, None, now());
    writer.save(&order, event).await?;
    assert_eq!(writer.save(&repeat, repeat_event).await?, SaveResult::Conflict(Box::new(order.clone())));

    let (paid, paid_event) = order.pay(now())?;
    let (cancelled, cancelled_event) = order.cancel(None, now())?;
    writer.save(&paid, paid_event).await?;
    assert_eq!(writer.save(&cancelled, cancelled_event).await?, SaveResult::Conflict(Box::new(paid.clone())));
    assert_eq!(writer.find(order.id(), None).await?, Some(paid));
    assert_eq!(subject.events().await? - before, 2, "a superseded order has no event");
    Ok(())
}

async fn a_change_of_a_missing_order_is_refused(subject: &impl Subject) -> Result<()> {
    let (order, _) = new_order()?;
    let (paid, event) = order.pay(now())?;
    let result = subject.writer().save(&paid, event).await;
    assert!(matches!(result, Err(WriteError::Refused(_))), "{result:?}");
    assert_eq!(subject.writer().find(order.id(), None).await?, None);
    Ok(())
}

async fn concurrent_saves_each_get_the_right_result(subject: &impl Subject) -> Result<()> {
    let before = subject.events().await?;
    let (order, event) = new_order()?;
    let repeats = (0..20).map(|_| subject.writer().save(&order, event.clone()));
    let others: Vec<_> = (0..20).map(|_| new_order()).collect::<Result<_>>()?;
    let others = others.iter().map(|(order, event)| subject.writer().save(order, event.clone()));
    let (repeats, others) =
        tokio::join!(futures_util::future::try_join_all(repeats), futures_util::future::try_join_all(others));
    assert_eq!(repeats?.iter().filter(|saved| **saved == SaveResult::Stored).count(), 1);
    assert!(others?.iter().all(|saved| *saved == SaveResult::Stored));
    assert_eq!(subject.events().await? - before, 21);
    Ok(())
}

async fn the_commands_work_with_it(subject: &impl Subject) -> Result<()> {
    let writer = subject.writer();
    let order_id = Uuid::now_v7();
    let customer = CustomerId::new("customer".to_owned())?;
    let place =
        PlaceOrder { order_id: OrderId::chosen(order_id)?, customer, lines: lines(1)?, currency: None };
    assert!(!place.clone().run(writer, now()).await?.replayed);
    assert!(place.clone().run(writer, now()).await?.replayed);
    for (other, difference) in [
        (PlaceOrder { lines: lines(2)?, ..place.clone() }, ContentDifference::Lines),
        (PlaceOrder { currency: Some(Currency::new("EUR")?), ..place.clone() }, ContentDifference::Currency),
    ] {
        let refused = other.run(writer, now()).await;
        assert!(
            matches!(refused, Err(PlaceOrderError::IdTaken(found)) if found == difference),
            "{difference:?}: {refused:?}"
        );
    }

    let change =
        |step, precondition| ChangeStatus { order_id, owner: None, step, precondition }.run(writer, now());
    let forbidden = change(Step::Ship(Shipment::default()), Precondition::AnyVersion).await;
    assert!(matches!(forbidden, Err(ChangeStatusError::Forbidden { .. })), "{forbidden:?}");
    let stale = change(Step::Pay, Precondition::OneOf(vec![2])).await;
    assert!(matches!(stale, Err(ChangeStatusError::PreconditionFailed { current: 1 })), "{stale:?}");
    let paid = change(Step::Pay, Precondition::OneOf(vec![1])).await?;
    assert_eq!((paid.order.version(), paid.replayed), (2, false));
    assert!(change(Step::Pay, Precondition::OneOf(vec![1])).await?.replayed);
    let dhl = Shipment { carrier: Some(Carrier::new("DHL".to_owned())?), tracking_number: None };
    assert!(!change(Step::Ship(dhl.clone()), Precondition::AnyVersion).await?.replayed);
    assert!(change(Step::Ship(dhl), Precondition::AnyVersion).await?.replayed);
    let ups = Shipment { carrier: Some(Carrier::new("UPS".to_owned())?), tracking_number: None };
    let differs = change(Step::Ship(ups), Precondition::AnyVersion).await;
    assert!(matches!(differs, Err(ChangeStatusError::TakenWithOtherDetails { .. })), "{differs:?}");
    Ok(())
}

async fn keeps_the_contract(subject: &impl Subject) -> Result<()> {
    a_saved_order_is_found_again(subject).await?;
    a_stored_order_stays_and_is_returned(subject).await?;
    a_change_of_a_missing_order_is_refused(subject).await?;
    concurrent_saves_each_get_the_right_result(subject).await?;
    the_commands_work_with_it(subject).await
}

#[tokio::test]
async fn postgresql_keeps_the_contract() -> Result<()> {
    keeps_the_contract(&InPostgres::start().await?).await
}

#[tokio::test]
async fn the_fake_keeps_the_contract() -> Result<()> {
    keeps_the_contract(&InMemory::default()).await
}
