//! The memory for payloads in flight: large events do not add up without limit, and all arrive in the end.

use anyhow::{Result, ensure};
use projector::webhooks::MemoryLimits;
use projector::webhooks::delivery::Limits;
use shared_events::{OrderEvent, OrderItem};
use testkit::wait;

use super::receiver::{OK, Reaction, Receiver};
use super::support::{LIMIT, LIMITS, Running, add, config, count, deliver, positions, take, until_count};
use super::together::add_all;
use crate::support::{Scene, event};

const ORDERS: u128 = 12;

/// As large as write-api accepts: 500 items, whose SKUs have 64 characters of four bytes.
fn large(order: u128) -> OrderEvent {
    let mut placed = event(order, 1);
    let item = OrderItem { sku: "𝄞".repeat(64), quantity: i32::MAX, price_cents: 9_007_199_254_740_991 };
    placed.facts.items = Some(vec![item; 500]);
    placed
}

fn larges() -> Vec<OrderEvent> {
    (1..=ORDERS).map(large).collect()
}

fn bytes(event: &OrderEvent) -> Result<usize> {
    Ok(event.encode()?.payload.len())
}

#[tokio::test]
async fn as_many_are_leased_as_fit_and_one_in_any_case() -> Result<()> {
    let scene = Scene::create().await?;
    let database = scene.open()?;
    let mut connection = database.session().await?;
    let id = add(&mut connection, "https://hooks.example/").await?.id;
    deliver(&mut connection, id, &larges()).await?;
    let bytes = i64::try_from(bytes(&large(1))?)?;
    for (max_bytes, expected) in [(2 * bytes, vec![1, 2]), (2 * bytes - 1, vec![3]), (0, vec![4])] {
        let leased = take(&mut connection, id, Limits { max_bytes, ..LIMITS }).await?;
        assert_eq!(positions(&leased), expected, "{max_bytes}");
    }
    Ok(())
}

/// The other endpoint gets its events while nothing is free for it.
#[tokio::test]
async fn requests_in_flight_keep_within_the_memory_and_another_endpoint_goes_on() -> Result<()> {
    let scene = Scene::create().await?;
    let bytes = bytes(&large(1))?;
    ensure!((150_000..180_000).contains(&bytes), "{bytes}");
    let (receiver, other) = (Receiver::start_with(|_| Reaction::Hang)?, Receiver::start()?);
    add_all(&scene, &[(&receiver, &["order_placed"]), (&other, &["order_paid"])]).await?;
    let mut config = config(&scene)?;
    config.webhooks.timeout = LIMIT;
    // Two of them for one take, four for all.
    let take = 4 * bytes + (20 << 10);
    config.webhooks.memory = MemoryLimits { take, process: 2 * take };
    let running = Running::start(&config)?;
    scene.emit_all(&larges()).await?;
    wait::until("requests", LIMIT, async || match receiver.received().len() {
        // A third one fits only if the second take has found two.
        len if len >= 3 => Ok(()),
        len => Err(len),
    })
    .await?;
    for order in 1..=ORDERS {
        let next = event(order, 2);
        let accepted = format!("webhook_attempts WHERE event_id = '{}' AND error IS NULL", next.event_id);
        scene.emit([next]).await?;
        until_count(&scene, &accepted, 1).await?;
    }
    let held = receiver.received().len();
    ensure!(held <= 4, "{held} in flight");

    receiver.react(|_| OK);
    let stopped = receiver.kill();
    wait::until("requests that fail", LIMIT, async || {
        match count(&scene, "webhook_attempts WHERE error IS NOT NULL").await {
            Ok(failed) if failed > 0 => Ok(()),
            other => Err(other),
        }
    })
    .await?;
    let receiver = stopped.start_again()?;
    until_count(&scene, "deliveries", 0).await?;
    assert_eq!((receiver.versions().len(), receiver.accepted_count()), (12, 12));
    let at_once = receiver.received().iter().map(|received| received.at_once).max();
    ensure!(at_once <= Some(4), "{at_once:?} at once");
    running.stop().await
}
