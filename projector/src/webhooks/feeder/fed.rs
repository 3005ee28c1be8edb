//! An endpoint that is fed, and how it is fed alone.

use std::sync::Arc;

use diesel::QueryResult;
use diesel::sql_types::{Array, BigInt};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use service_kit::statement;
use tokio::sync::watch;

use super::event;
use crate::event_fields::EventFields;
use crate::event_log::LoggedEvent;
use crate::subscription::Listener;
use crate::webhooks::delivery::{self, Backlogs, Unusable};
use crate::webhooks::endpoint::Endpoint;
use crate::webhooks::wake::Wake;

/// An endpoint that is fed.
#[derive(Clone)]
pub(crate) struct Fed {
    id: i64,
    subscription: String,
    endpoint: watch::Receiver<Arc<Endpoint>>,
    wake: Arc<Wake>,
    backlogs: Backlogs,
}

impl Fed {
    pub(crate) fn new(endpoint: watch::Receiver<Arc<Endpoint>>, wake: Arc<Wake>, backlogs: Backlogs) -> Self {
        let id = endpoint.borrow().id;
        Self { id, subscription: Endpoint::subscription(id), endpoint, wake, backlogs }
    }

    pub(super) fn id(&self) -> i64 {
        self.id
    }

    /// Whether both were made for the same sender. One that was stopped and started again has another one; what belongs
    /// to the earlier one is not up to date.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.wake, &other.wake)
    }

    pub(super) fn endpoint(&self) -> Arc<Endpoint> {
        Arc::clone(&self.endpoint.borrow())
    }
}

impl Listener for Fed {
    fn name(&self) -> &str {
        &self.subscription
    }

    fn room<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        limit: i64,
    ) -> BoxFuture<'a, QueryResult<i64>> {
        async move {
            let rooms = rooms(connection, vec![self.id], &self.backlogs).await?;
            Ok(rooms.iter().map(|(_, room)| limit.min(*room)).sum())
        }
        .boxed()
    }

    fn handle<'a>(
        &'a self,
        connection: &'a mut AsyncPgConnection,
        events: &'a [LoggedEvent],
    ) -> BoxFuture<'a, QueryResult<()>> {
        let endpoint = self.endpoint();
        async move { feed(connection, &endpoint, events).await }.boxed()
    }

    fn wants(&self, kind: &str) -> bool {
        self.endpoint().kinds.contain(kind)
    }

    fn committed(&self) {
        self.wake.fed();
    }
}

/// How many deliveries may be added for each of these endpoints. Without those that are gone, or that another session
/// has locked: nothing can be added for them. The others stay until the transaction ends.
pub async fn rooms(
    connection: &mut AsyncPgConnection,
    ids: Vec<i64>,
    backlogs: &Backlogs,
) -> QueryResult<Vec<(i64, i64)>> {
    let kept: Vec<i64> = RunQueryDsl::load(KeepEndpoints { ids }, connection).await?;
    delivery::rooms(connection, &kept, backlogs).await
}

statement! {
    struct KeepEndpoints = "keep_endpoints.sql" -> BigInt {
        ids: Vec<i64> as Array<BigInt>,
    }
}

async fn feed(
    connection: &mut AsyncPgConnection,
    endpoint: &Endpoint,
    events: &[LoggedEvent],
) -> QueryResult<()> {
    let (mut deliveries, mut unusable, to) = (Vec::new(), Vec::new(), [endpoint.id]);
    for event in events.iter().filter(|event| endpoint.kinds.contain(&event.kind)) {
        match event::delivery(event) {
            Ok(delivery) => deliveries.push((delivery, &to[..])),
            Err(reason) => unusable.push(Unusable { event, reason }),
        }
    }
    if !deliveries.is_empty() {
        delivery::insert(connection, &deliveries).await?;
    }
    if !unusable.is_empty() {
        log_unusable(endpoint.id, &unusable);
        delivery::park_unusable(connection, endpoint.id, &unusable).await?;
    }
    Ok(())
}

/// One line a batch: about the first of them.
fn log_unusable(endpoint: i64, unusable: &[Unusable<'_>]) {
    let positions: Vec<_> = unusable.iter().map(|unusable| unusable.event.position).collect();
    let first = unusable.first().map(|first| first.event);
    let fields = first.map(|event| EventFields::of(&event.payload, event.traceparent.as_deref()));
    let fields = fields.unwrap_or_default();
    tracing::error!(
        webhook.endpoint = endpoint,
        event.positions = ?positions,
        order.id = fields.order_id(),
        order.version = fields.version(),
        trace_id = fields.trace_id(),
        span_id = fields.span_id(),
        "events parked: they have no id"
    );
}
