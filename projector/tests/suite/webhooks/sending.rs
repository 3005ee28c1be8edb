//! From the outbox to a receiver.

use std::collections::BTreeSet;

use anyhow::Result;
use projector::webhooks::operator;
use shared_events::{OrderChange, OrderEvent};
use testkit::wait;

use super::receiver::{OK, Reaction, Receiver};
use super::support::{
    LIMIT, Running, add, add_for, add_receiver, config, count, shared, stories, until_accepted, until_count,
};
use crate::support::{Scene, event};

const ID: &str = "0b0e2a53-4a3b-4b0e-9d3a-6f1f5f0c2a11";

#[tokio::test]
async fn every_event_arrives_signed_once_and_in_the_order_of_its_order() -> Result<()> {
    let scene = Scene::create().await?;
    let receiver = Receiver::start()?;
    let endpoint = add_receiver(&scene, &receiver).await?;
    let running = Running::start(&config(&scene)?)?;
    scene.emit_all(&stories(50)).await?;
    until_accepted(&receiver, 50).await?;
    until_count(&scene, "deliveries", 0).await?;

    let messages = receiver.received();
    assert_eq!(messages.len(), 150, "nothing went wrong, so nothing is repeated");
    for message in &messages {
        message.verify(&endpoint.secret)?;
        assert!(message.header("webhook-id") == message.json["data"]["event_id"], "{message:?}");
        assert_eq!(message.json["timestamp"], "2026-11-18T11:06:40.000000Z");
    }
    let attempts = "webhook_attempts WHERE status = 200 AND error IS NULL AND latency_ms < 10000";
    assert_eq!(count(&scene, attempts).await?, 150);
    running.stop().await
}

#[tokio::test]
async fn an_endpoint_gets_the_kinds_that_it_was_added_for_and_republished_events_only_by_name() -> Result<()>
{
    let scene = Scene::create().await?;
    let (all, paid, republished) = (Receiver::start()?, Receiver::start()?, Receiver::start()?);
    let database = scene.open()?;
    let mut connection = database.session().await?;
    add(&mut connection, &all.url()).await?;
    add_for(&mut connection, &paid.url(), &["order_paid"]).await?;
    add_for(&mut connection, &republished.url(), &["order_republished"]).await?;
    connection.give_back();
    let running = Running::start(&config(&scene)?)?;
    let OrderEvent { order, facts, occurred_at, .. } = event(1, 2);
    let again = OrderEvent::new(order, facts, OrderChange::Republished, occurred_at);
    scene.emit_all(&[event(1, 1), event(1, 2), again, event(1, 3)]).await?;
    // A later build may write kinds that this one does not know.
    let later = event(1, 4).encode()?.payload;
    scene.emit_raw("order_gift_wrapped", &later).await?;

    let kinds = |receiver: &Receiver| {
        receiver.received().iter().map(|each| each.kind().to_owned()).collect::<Vec<_>>()
    };
    // Each endpoint is fed for itself: the last event at one says nothing about the others.
    wait::until("the events of each", LIMIT, async || {
        let found = [&all, &paid, &republished].map(kinds);
        if found.each_ref().map(Vec::len) == [4, 1, 1] { Ok(()) } else { Err(found) }
    })
    .await?;
    let end = "subscription_checkpoints WHERE checkpoint = (SELECT max(position) FROM event_log)";
    until_count(&scene, end, 3).await?;
    until_count(&scene, "deliveries", 0).await?;
    assert_eq!(kinds(&all), ["order_placed", "order_paid", "order_shipped", "order_gift_wrapped"]);
    assert_eq!(kinds(&paid), ["order_paid"]);
    assert_eq!(kinds(&republished), ["order_republished"]);
    running.stop().await
}

#[tokio::test]
async fn an_order_whose_event_is_refused_waits_while_others_go_on() -> Result<()> {
    let scene = Scene::create().await?;
    let (state, is_up) = shared(std::sync::atomic::AtomicBool::new(false));
    let first = event(1, 1).order.order_id.to_string();
    let receiver = Receiver::start_with(move |message| {
        let is_refused = message.order() == first && !is_up.load(std::sync::atomic::Ordering::Relaxed);
        if is_refused { Reaction::Status(500) } else { OK }
    })?;
    add_receiver(&scene, &receiver).await?;
    let running = Running::start(&config(&scene)?)?;
    scene.emit_all(&stories(20)).await?;
    until_count(&scene, "deliveries", 3).await?;
    assert_eq!(receiver.versions().len(), 19);
    let tried: BTreeSet<_> =
        receiver.received().iter().filter(|each| !each.is_accepted()).map(|each| each.version()).collect();
    assert_eq!(tried, BTreeSet::from([1]), "later events of the order wait");
    state.store(true, std::sync::atomic::Ordering::Relaxed);
    until_accepted(&receiver, 20).await?;
    running.stop().await
}

#[tokio::test]
async fn endpoints_are_added_paused_resumed_and_removed_while_projectors_run() -> Result<()> {
    let scene = Scene::create().await?;
    let receiver = Receiver::start()?;
    let running = Running::start(&config(&scene)?)?;
    let endpoint = add_receiver(&scene, &receiver).await?;
    scene.emit([event(1, 1)]).await?;
    until_count(&scene, "webhook_attempts", 1).await?;

    let database = scene.open()?;
    let mut connection = database.session().await?;
    assert!(operator::pause(&mut connection, endpoint.id).await?);
    scene.emit([event(1, 2)]).await?;
    until_count(&scene, "deliveries", 1).await?;
    assert!(operator::resume(&mut connection, endpoint.id).await?);
    until_count(&scene, "webhook_attempts", 2).await?;
    assert_eq!(receiver.received().len(), 2);

    operator::remove(&mut connection, endpoint.id).await?;
    scene.emit([event(1, 3)]).await?;
    until_count(&scene, "order_summary WHERE version = 3", 1).await?;
    until_count(&scene, "subscriptions", 0).await?;
    // Another one starts from now on.
    let later = add(&mut connection, &receiver.url()).await?;
    scene.emit([event(2, 1)]).await?;
    until_count(&scene, &format!("webhook_attempts WHERE endpoint = {}", later.id), 1).await?;
    let versions: Vec<_> = receiver.received().iter().map(|each| each.version()).collect();
    assert_eq!(versions, [1, 2, 1]);
    assert!(!operator::pause(&mut connection, endpoint.id).await?, "its id is not used again");
    running.stop().await
}

#[tokio::test]
async fn the_feeder_stops_at_a_thousand_waiting_events_and_the_rest_waits_in_the_log() -> Result<()> {
    let scene = Scene::create().await?;
    let receiver = Receiver::start()?;
    let endpoint = add_receiver(&scene, &receiver).await?;
    let database = scene.open()?;
    let mut connection = database.session().await?;
    operator::pause(&mut connection, endpoint.id).await?;
    let running = Running::start(&config(&scene)?)?;
    let events: Vec<_> = (1..=1_200).map(|order| event(order, 1)).collect();
    scene.emit_all(&events).await?;
    until_count(&scene, "order_summary", 1_200).await?;
    until_count(&scene, "deliveries", 1_000).await?;
    operator::resume(&mut connection, endpoint.id).await?;
    until_count(&scene, "webhook_attempts WHERE error IS NULL", 1_200).await?;
    assert_eq!(receiver.versions().len(), 1_200);
    running.stop().await
}

#[tokio::test]
async fn events_without_usable_ids_are_parked_and_the_rest_goes_on() -> Result<()> {
    let scene = Scene::create().await?;
    let receiver = Receiver::start()?;
    add_receiver(&scene, &receiver).await?;
    let running = Running::start(&config(&scene)?)?;
    scene.emit_raw("order_gift_wrapped", r#"{"ribbon": "red"}"#).await?;
    // Texts that must not be part of a message, and a time that `timestamptz` does not have.
    scene.emit_raw("order_gift_wrapped", r#"{"event_id": "\u0000aa"}"#).await?;
    let long = format!(r#"{{"event_id": "{ID}", "order": "{}"}}"#, "x".repeat(5_000));
    scene.emit_raw("order_gift_wrapped", &long).await?;
    let early = r#""occurred_at": "-10000-01-01T00:00:00Z""#;
    let early = format!(r#"{{"event_id": "{ID}", {early}, "order": {{"order_id": "{ID}"}}}}"#);
    scene.emit_raw("order_gift_wrapped", &early).await?;
    scene.emit([event(1, 1)]).await?;
    until_count(&scene, "webhook_attempts", 2).await?;
    let parked = "SELECT position, attempts, error FROM subscription_parked ORDER BY position";
    for (position, parked) in (1..).zip(scene.session.query(parked, &[]).await?) {
        assert_eq!((parked.get::<_, i64>(0), parked.get::<_, i32>(1)), (position, 1));
        let expected = "no event_id, occurred_at and order.order_id that can be used (line 1, column ";
        assert!(parked.get::<_, &str>(2).starts_with(expected), "{parked:?}");
    }
    assert_eq!(count(&scene, "subscription_parked").await?, 3);
    running.stop().await
}
