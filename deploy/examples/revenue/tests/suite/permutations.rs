//! Whatever the sequence, repetition and mixture of events: the sums are those of the orders.

use anyhow::Result;
use fastrand::Rng;
use projector::projection::Projection;
use revenue::projection::RevenueByMonth;
use service_kit::database::Database;
use shared_events::{OrderEvent, OrderStatus};

use crate::orders::{Order, sums};
use crate::support::Scene;

const ROUNDS: u64 = 60;
const ORDERS: u128 = 20;

/// Applies the events in batches of random sizes.
async fn apply(database: &Database, random: &mut Rng, events: &[OrderEvent]) -> Result<()> {
    let mut session = database.session().await?;
    let mut rest: Vec<_> = events.iter().collect();
    while !rest.is_empty() {
        let later = rest.split_off(random.usize(1..=rest.len().min(30)));
        RevenueByMonth.apply(&mut session, &rest).await?;
        rest = later;
    }
    session.give_back();
    Ok(())
}

/// Events that say all of an order: all of its steps, or only some and its newest state republished. Each may occur
/// several times, and so may states that were republished on the way.
fn events_of(random: &mut Rng, order: &Order) -> Vec<OrderEvent> {
    let is_whole = random.bool();
    let mut events: Vec<_> = order.events().into_iter().filter(|_| is_whole || random.bool()).collect();
    if !is_whole {
        events.push(order.republished(order.versions()));
    }
    for _ in 0..random.usize(0..3) {
        events.push(order.republished(random.usize(1..=order.versions())));
    }
    for _ in 0..random.usize(0..3) {
        events.push(events[random.usize(0..events.len())].clone());
    }
    events
}

#[tokio::test]
async fn any_sequence_repetition_and_mixture_with_republished_events_gives_the_same_sums() -> Result<()> {
    let scene = Scene::create().await?;
    let database = scene.open()?;
    let seed = fastrand::u64(..);
    for round in 0..ROUNDS {
        let mut random = Rng::with_seed(seed ^ round);
        let orders: Vec<_> = (1..=ORDERS).map(|id| Order::random(&mut random, id)).collect();
        let mut events: Vec<_> = orders.iter().flat_map(|order| events_of(&mut random, order)).collect();
        random.shuffle(&mut events);
        apply(&database, &mut random, &events).await?;
        assert_eq!(scene.sums("revenue_1").await?, sums(&orders), "seed {seed}, round {round}");
        scene
            .session
            .batch_execute("TRUNCATE revenue_1.orders, revenue_1.by_month, revenue_1.by_sku")
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_not_known_yet_is_counted_without_its_month_and_currency() -> Result<()> {
    let scene = Scene::create().await?;
    let mut session = scene.open()?.session().await?;
    let mut order = Order::paid(1, "2026-11-23T10:00:00Z", 700);
    order.steps.push((OrderStatus::Shipped, 1));
    RevenueByMonth.apply(&mut session, &[&order.event(3)]).await?;
    let unknown = scene.sums("revenue_1").await?;
    let nowhere = (String::new(), String::new());
    assert_eq!(unknown.by_month.into_iter().collect::<Vec<_>>(), [(nowhere, (1, 700))]);
    assert!(unknown.by_sku.is_empty(), "no event has said the items");
    RevenueByMonth.apply(&mut session, &[&order.event(2), &order.event(1)]).await?;
    assert_eq!(scene.sums("revenue_1").await?, sums([&order]));
    session.give_back();
    Ok(())
}

#[tokio::test]
async fn sums_beyond_64_bits_are_exact() -> Result<()> {
    let scene = Scene::create().await?;
    let mut session = scene.open()?.session().await?;
    let largest = (1 << 53) - 1;
    let orders: Vec<_> = (1..=2_000).map(|id| Order::paid(id, "2026-11-23T10:00:00Z", largest)).collect();
    let events: Vec<_> = orders.iter().flat_map(Order::events).collect();
    RevenueByMonth.apply(&mut session, &events.iter().collect::<Vec<_>>()).await?;
    let expected = sums(&orders);
    assert!(expected.by_month.values().all(|(_, cents)| *cents > i128::from(i64::MAX)));
    assert_eq!(scene.sums("revenue_1").await?, expected);
    session.give_back();
    Ok(())
}

type Break = fn(&mut OrderEvent);

const BREAKS: [(&str, Break); 6] = [
    ("orders_version_positive", |event| event.order.version = 0),
    ("orders_total_not_negative", |event| event.order.total_cents = -1),
    ("orders_currency_is_a_code", |event| event.facts.currency = Some("eur".to_owned())),
    ("orders_paid_month_readable", |event| event.facts.paid_at = "+12345-01-01T00:00:00Z".parse().ok()),
    ("by_sku_length", |event| rename_sku(event, &"x".repeat(65))),
    ("by_sku_length", |event| rename_sku(event, "")),
];

fn rename_sku(event: &mut OrderEvent, name: &str) {
    for item in event.facts.items.iter_mut().flatten() {
        name.clone_into(&mut item.sku);
    }
}

#[tokio::test]
async fn an_event_that_the_tables_would_refuse_is_known_without_a_query() -> Result<()> {
    let scene = Scene::create().await?;
    let order = Order::paid(1, "2026-11-23T10:00:00Z", 700);
    for (constraint, change) in BREAKS {
        let mut event = order.republished(2);
        assert_eq!(RevenueByMonth.refuses(&event), None);
        change(&mut event);
        let reason = RevenueByMonth.refuses(&event).unwrap_or_default();
        assert!(reason.starts_with(constraint), "{constraint}: {reason:?}");
        let mut session = scene.open()?.session().await?;
        let refused = RevenueByMonth.apply(&mut session, &[&event]).await;
        let error = refused.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(constraint), "{constraint}: {error:?}");
    }
    let mut event = order.republished(2);
    rename_sku(&mut event, "a\0b");
    assert!(RevenueByMonth.refuses(&event).is_some());
    Ok(())
}
