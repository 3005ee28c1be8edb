//! The subscription of an endpoint: copies its events into `deliveries`, in the transaction that moves its checkpoint.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use service_kit::stored_time::StoredTime;
use tokio::sync::watch;
use uuid::Uuid;

use super::delivery::{self, NewDelivery, Unusable};
use super::endpoint::Endpoint;
use super::wake::Wake;
use crate::event_log::LoggedEvent;
use crate::subscription::Listener;

/// Most deliveries that wait for an endpoint. Further events wait in the log.
pub const WAITING_MAX: i64 = 1_000;

/// Feeds one endpoint.
pub(crate) struct Feeder {
    subscription: String,
    endpoint: watch::Receiver<Arc<Endpoint>>,
    wake: Arc<Wake>,
}

impl Feeder {
    pub(crate) fn new(endpoint: watch::Receiver<Arc<Endpoint>>, wake: Arc<Wake>) -> Self {
        let subscription = Endpoint::subscription(endpoint.borrow().id);
        Self { subscription, endpoint, wake }
    }
}

impl Listener for Feeder {
    fn name(&self) -> &str {
        &self.subscription
    }

    fn room<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        limit: i64,
    ) -> BoxFuture<'a, QueryResult<i64>> {
        let id = self.endpoint.borrow().id;
        async move {
            let waiting = delivery::count_waiting(connection, id, WAITING_MAX).await?;
            Ok(limit.min(WAITING_MAX - waiting))
        }
        .boxed()
    }

    fn handle<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        events: &'a [LoggedEvent],
    ) -> BoxFuture<'a, QueryResult<()>> {
        let endpoint = Arc::clone(&self.endpoint.borrow());
        async move { feed(connection, &endpoint, events).await }.boxed()
    }

    fn committed(&self) {
        self.wake.fed();
    }
}

/// What a delivery needs to know of an event. The rest is passed on unread, so that events of later builds are too.
#[derive(Deserialize)]
struct Keys {
    event_id: Uuid,
    occurred_at: DateTime<Utc>,
    order: OrderKey,
}

#[derive(Deserialize)]
struct OrderKey {
    order_id: Uuid,
}

async fn feed(
    connection: &mut AsyncPgConnection,
    endpoint: &Endpoint,
    events: &[LoggedEvent],
) -> QueryResult<()> {
    let (mut deliveries, mut unusable) = (Vec::new(), Vec::new());
    for event in events.iter().filter(|event| endpoint.kinds.contain(&event.kind)) {
        match serde_json::from_str(&event.payload) {
            Ok(keys) => deliveries.push(new_delivery(event, &keys)),
            Err(error) => unusable.push(Unusable { event, reason: without_its_keys(&error) }),
        }
    }
    if !deliveries.is_empty() {
        delivery::insert(connection, endpoint.id, &deliveries).await?;
    }
    if !unusable.is_empty() {
        let positions: Vec<_> = unusable.iter().map(|unusable| unusable.event.position).collect();
        tracing::error!(webhook.endpoint = endpoint.id, event.positions = ?positions, "events parked: they have no id");
        delivery::park_unusable(connection, endpoint.id, &unusable).await?;
    }
    Ok(())
}

/// Without text of the event, which may be long, secret, or no text to PostgreSQL.
fn without_its_keys(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    format!("no event_id, occurred_at and order.order_id that can be used (line {line}, column {column})")
}

fn new_delivery<'a>(event: &'a LoggedEvent, keys: &Keys) -> NewDelivery<'a> {
    NewDelivery {
        position: event.position,
        order_id: keys.order.order_id,
        event_id: keys.event_id,
        kind: &event.kind,
        payload: &event.payload,
        occurred_at: StoredTime::from(keys.occurred_at).clamped(),
        recorded_at: event.recorded_at,
    }
}
