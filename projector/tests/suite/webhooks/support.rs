//! Endpoints, deliveries and projectors for the tests of webhooks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use chrono::Utc;
use diesel_async::AsyncPgConnection;
use projector::event_fields::EventFields;
use projector::webhooks::delivery::{
    self, Backlogs, Finished, FinishedAttempt, Leased, Limits, NewDelivery, Streak, Take,
};
use projector::webhooks::endpoint::{Kinds, parse_url};
use projector::webhooks::operator;
use projector::webhooks::retry::{DeliveryPolicy, GiveUp};
use projector::webhooks::signature::Secret;
use projector::{Config, Projector, ProjectorError};
use shared_events::OrderEvent;
use testkit::wait;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::receiver::Receiver;
use crate::support::{Scene, event, placed_at};
use crate::trace_contexts::CONTEXT;

/// Longer than anything that a test waits for takes.
pub(super) const LIMIT: Duration = Duration::from_mins(1);

/// Pauses that a test can wait for.
pub(super) const FAST: DeliveryPolicy = DeliveryPolicy {
    retry_first: Duration::from_millis(5),
    retry_max: Duration::from_millis(40),
    streak_after: Duration::ZERO,
    failures_until_probes: 10,
    probe_max: Duration::from_millis(20),
    outage_after: Duration::from_hours(1),
    give_up: GiveUp { after: Duration::from_hours(72), failures: 20 },
    give_up_crowded: GiveUp { after: Duration::from_hours(1), failures: 8 },
};

/// An endpoint of a test.
#[derive(Debug, Clone)]
pub(super) struct Added {
    pub(super) id: i64,
    pub(super) secret: String,
}

/// Adds an endpoint for all kinds of events.
pub(super) async fn add(connection: &mut AsyncPgConnection, url: &str) -> Result<Added> {
    add_for(connection, url, &[]).await
}

pub(super) async fn add_for(connection: &mut AsyncPgConnection, url: &str, kinds: &[&str]) -> Result<Added> {
    let kinds = Kinds::new(kinds.iter().map(|kind| (*kind).to_owned()).collect())?;
    let secret = Secret::generate()?;
    let added = operator::add(connection, &parse_url(url, true)?, &kinds, &secret).await?;
    let operator::Added::Endpoint(id) = added else { bail!("{added:?}") };
    Ok(Added { id, secret: secret.text() })
}

/// Lets these events wait to be delivered, as a feeder does. Their positions are 1, 2 and so on.
pub(super) async fn deliver(
    connection: &mut AsyncPgConnection,
    endpoint: i64,
    events: &[OrderEvent],
) -> Result<()> {
    for (position, event) in (1..).zip(events) {
        let encoded = event.encode()?;
        let new = NewDelivery {
            position,
            order_id: event.order.order_id,
            event_id: event.event_id,
            kind: encoded.kind,
            payload: &encoded.payload,
            occurred_at: event.occurred_at,
            recorded_at: placed_at(),
            traceparent: Some(CONTEXT),
        };
        delivery::insert(connection, &[(new, &[endpoint])]).await?;
    }
    Ok(())
}

/// Up to eight leases of a minute.
pub(super) const LIMITS: Limits = Limits {
    wanted: 8,
    max_bytes: i64::MAX,
    in_flight_max: 8,
    failures_until_probes: 10,
    lease: Duration::from_mins(1),
};

/// Leases deliveries. None are leased if the endpoint may not be sent anything.
pub(super) async fn take(
    connection: &mut AsyncPgConnection,
    endpoint: i64,
    limits: Limits,
) -> Result<Vec<Leased>> {
    match delivery::take(connection, endpoint, limits, &Backlogs::default()).await? {
        Take::Taken(taken) => Ok(taken.deliveries),
        Take::NotNow | Take::Locked => Ok(Vec::new()),
    }
}

pub(super) fn positions(leased: &[Leased]) -> Vec<i64> {
    leased.iter().map(|leased| leased.position).collect()
}

/// The result of a request that got this status.
pub(super) fn finished(leased: &Leased, status: u16) -> FinishedAttempt {
    FinishedAttempt {
        position: leased.position,
        fence: leased.fence,
        event_id: leased.event_id,
        failures: leased.failures,
        first_failed_at: leased.first_failed_at,
        status: Some(status),
        retry_after: None,
        latency: Duration::from_millis(3),
        error: (status >= 300).then(|| format!("status {status}")),
        fields: EventFields::default(),
    }
}

/// Failures of a process that knows of all successes, and has seen only failures for an hour.
pub(super) fn streak(failures: i32, lasted: Duration) -> Streak {
    Streak { failures, lasted, observed: Duration::from_hours(1), succeeded_at: Some(Utc::now()) }
}

/// Records results, as a process does at which all requests since the last success have failed.
pub(super) async fn finish(
    connection: &mut AsyncPgConnection,
    endpoint: i64,
    attempts: &[FinishedAttempt],
    policy: &DeliveryPolicy,
) -> Result<Finished> {
    let failures = attempts.iter().rev().take_while(|attempt| !attempt.is_success()).count();
    let streak = streak(i32::try_from(failures)?, policy.streak_after);
    Ok(delivery::finish(connection, endpoint, attempts, streak, false, policy).await?)
}

/// Adds an endpoint for a receiver, and lets it wait for nothing else.
pub(super) async fn add_receiver(scene: &Scene, receiver: &Receiver) -> Result<Added> {
    let database = scene.open()?;
    let mut connection = database.session().await?;
    add(&mut connection, &receiver.url()).await
}

/// A projector that sends to receivers of this machine.
pub(super) fn config(scene: &Scene) -> Result<Config> {
    let mut vars = scene.vars();
    vars.push(("WEBHOOK_ALLOW_PRIVATE".to_owned(), "true".to_owned()));
    let mut config = Config::from_vars(&vars)?;
    config.webhooks.policy = FAST;
    Ok(config)
}

/// A running projector.
pub(super) struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), ProjectorError>>,
    pub(super) address: SocketAddr,
}

impl Running {
    pub(super) fn start(config: &Config) -> Result<Self> {
        let stop = CancellationToken::new();
        let projector = Projector::start(config, projector::projections(), stop.clone())?;
        let address = projector.address();
        Ok(Self { stop, address, task: tokio::spawn(projector.run()) })
    }

    /// Stops it as a signal does.
    pub(super) async fn stop(self) -> Result<()> {
        self.stop.cancel();
        Ok(self.task.await??)
    }
}

/// All events up to version 3 of orders 1 to `orders`, in an order in which they can be written.
pub(super) fn stories(orders: u128) -> Vec<OrderEvent> {
    let of_order = |order| move |version| event(order, version);
    (1..=3).flat_map(|version| (1..=orders).map(move |order| of_order(order)(version))).collect()
}

/// Waits until the receiver has accepted versions 1 to 3 of orders 1 to `orders`, each order's in this order.
pub(super) async fn until_accepted(receiver: &Receiver, orders: usize) -> Result<()> {
    let all = wait::until("all events to be accepted", LIMIT, async || {
        let versions = receiver.versions();
        let accepted: usize = versions.values().map(Vec::len).sum();
        if accepted == orders * 3 { Ok(versions) } else { Err(format!("{accepted} of {}", orders * 3)) }
    });
    for (order, versions) in all.await? {
        ensure!(versions == [1, 2, 3], "{order}: {versions:?}");
    }
    Ok(())
}

/// Waits until the query returns this number.
pub(super) async fn until_count(scene: &Scene, what: &str, expected: i64) -> Result<()> {
    let reached = wait::until(what, LIMIT, async || match count(scene, what).await {
        Ok(found) if found == expected => Ok(()),
        other => Err(other),
    });
    Ok(reached.await?)
}

pub(super) async fn count(scene: &Scene, what: &str) -> Result<i64> {
    Ok(scene.session.query_one(&format!("SELECT count(*) FROM {what}"), &[]).await?.get(0))
}

/// A value that closures of a receiver share with the test.
pub(super) fn shared<T>(value: T) -> (Arc<T>, Arc<T>) {
    let value = Arc::new(value);
    (Arc::clone(&value), value)
}

/// A lease that is over at once, as that of a process that died.
pub(super) const OVER: Limits = Limits { lease: Duration::ZERO, ..LIMITS };

/// Lets all deliveries be due, and those that were refused have been so for this long, this often.
pub(super) async fn refused_for(scene: &Scene, time: &str, failures: i32) -> Result<()> {
    let refused = format!(
        "UPDATE deliveries SET first_failed_at = now() - interval '{time}', failures = {failures} WHERE failures > 0;
         UPDATE deliveries SET next_attempt_at = now(), leased_until = NULL"
    );
    Ok(scene.session.batch_execute(&refused).await?)
}
