//! What the page shows.

use futures_util::FutureExt;
use serde::Serialize;
use serde_json::{Value, json};
use service_kit::problem::Problem;
use service_kit::stored_time::StoredTime;
use uuid::Uuid;

use super::Inner;
use super::problems::{UNKNOWN, parameter, unavailable};
use crate::admin::observation;
use crate::parked::operator::{self as parked_operator, Owner, ParkedEvent};
use crate::{subscription, webhooks};

/// The most subscriptions that are shown.
const SUBSCRIPTIONS_MAX: i64 = 200;

/// The most parked events of one response, and how many there are if `limit` is not given.
const LIMIT_MAX: i64 = 100;
const DEFAULT_LIMIT: i64 = 25;

/// The most characters of a reason.
const REASON_MAX: usize = 500;

/// The longest name of a subscription that is searched for.
const NAME_MAX: usize = 200;

/// Backlog, subscriptions and webhook endpoints.
pub(super) async fn state(inner: &Inner) -> Result<String, Problem> {
    let low_water_mark = inner.runner.low_water_mark();
    let outbox = inner.database.run(move |c| observation::observe(c, low_water_mark).boxed()).await;
    let outbox = outbox.map_err(|error| unavailable(&error))?;
    let listed = inner.database.run(|c| subscription::operator::list(c, "", SUBSCRIPTIONS_MAX).boxed()).await;
    let mut subscriptions = listed.map_err(|error| unavailable(&error))?;
    for status in &mut subscriptions {
        status.last_error = status.last_error.take().map(|reason| shortened(&reason));
    }
    let endpoints = inner.database.run(|c| webhooks::operator::list(c, None).boxed()).await;
    let endpoints = endpoints.map_err(|error| unavailable(&error))?;
    let state = json!({
        "may_act": inner.may_act,
        "outbox": {
            "backlog": outbox.backlog, "oldest_seconds": outbox.oldest_seconds, "waiting": outbox.waiting,
            "parked_retrying": outbox.parked_retrying,
            "parked_left_for_operator": outbox.parked_left_for_operator,
            "oldest_transaction_seconds": outbox.oldest_transaction_seconds,
        },
        "subscriptions": subscriptions,
        "webhooks": endpoints.iter().map(endpoint).collect::<Vec<_>>(),
    });
    Ok(state.to_string())
}

/// Only the host: the path or the query of a receiver's URL may be its secret.
fn endpoint(status: &webhooks::operator::EndpointStatus) -> Value {
    let url = url::Url::parse(&status.url).ok();
    json!({
        "id": status.id, "host": url.as_ref().and_then(url::Url::host_str), "state": status.state,
        "paused_reason": status.paused_reason, "failures": status.failures,
        "failing_since": status.failing_since, "hold_until": status.hold_until, "waiting": status.waiting,
        "oldest_waiting": status.oldest_waiting, "oldest_not_copied": status.oldest_not_copied,
        "parked": status.parked, "subscription_state": status.subscription_state,
    })
}

/// Which parked events.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ParkedQuery {
    subscription: Option<String>,
    after: i64,
    limit: i64,
}

impl ParkedQuery {
    pub(super) fn parse(pairs: &[(String, String)]) -> Result<Self, Problem> {
        let mut query = Self { subscription: None, after: i64::MIN, limit: DEFAULT_LIMIT };
        for (name, value) in pairs {
            match name.as_str() {
                "subscription" if value.len() <= NAME_MAX && !value.contains('\0') => {
                    query.subscription = Some(value.clone());
                }
                "subscription" => return Err(UNKNOWN.with(UNKNOWN.when)),
                "after" => {
                    let number = value.parse();
                    query.after = number.map_err(|_| parameter("after", "must be a whole number"))?;
                }
                "limit" => {
                    let number = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
                    let rule =
                        || parameter("limit", &format!("must be a whole number from 1 to {LIMIT_MAX}"));
                    query.limit = number.ok_or_else(rule)?;
                }
                _ => return Err(parameter("?", "is unknown: known are subscription, after, limit")),
            }
        }
        Ok(query)
    }
}

#[derive(Serialize)]
struct Shown {
    id: i64,
    position: Option<i64>,
    order_id: Option<Uuid>,
    version: Option<i64>,
    kind: String,
    reason: String,
    attempts: i32,
    parked_at: StoredTime,
    next_attempt_at: Option<StoredTime>,
}

/// A page of parked events by id, without their payloads.
pub(super) async fn parked(inner: &Inner, query: &ParkedQuery) -> Result<String, Problem> {
    let owner = owner(inner, query.subscription.as_deref()).await?;
    let (after, limit) = (query.after, query.limit);
    // One more than shown, to know whether there are more.
    let listed = inner
        .database
        .run(move |c| async move { parked_operator::list(c, &owner, after, limit + 1).await }.boxed())
        .await;
    let events = listed.map_err(|error| unavailable(&error))?;
    let shown = usize::try_from(limit).unwrap_or_default();
    let next = (events.len() > shown).then(|| events.get(shown.saturating_sub(1)).map(|event| event.id));
    let events: Vec<_> = events.into_iter().take(shown).map(without_payload).collect();
    Ok(json!({ "events": events, "next": next }).to_string())
}

/// Whose parked events; 404 if there is no such subscription.
pub(super) async fn owner(inner: &Inner, subscription: Option<&str>) -> Result<Owner, Problem> {
    let Some(name) = subscription.map(str::to_owned) else { return Ok(Owner::Claim) };
    let wanted = name.clone();
    let found = inner
        .database
        .run(move |c| async move { subscription::operator::find(c, &wanted).await }.boxed())
        .await;
    match found.map_err(|error| unavailable(&error))? {
        Some(_) => Ok(Owner::Subscription(name)),
        None => Err(UNKNOWN.with(UNKNOWN.when)),
    }
}

/// Whatever the payload is: events are parked because something is wrong with them.
fn without_payload(event: ParkedEvent) -> Shown {
    let payload: Value = serde_json::from_str(&event.payload).unwrap_or_default();
    // Whatever else is there may be anything.
    let order_id = payload.pointer("/order/order_id").and_then(Value::as_str);
    let order_id = order_id.and_then(|id| id.parse::<Uuid>().ok());
    Shown {
        id: event.id,
        position: event.position,
        order_id,
        version: payload.pointer("/order/version").and_then(Value::as_i64),
        kind: event.kind,
        reason: shortened(&event.error),
        attempts: event.attempts,
        parked_at: event.parked_at,
        next_attempt_at: event.next_attempt_at,
    }
}

fn shortened(reason: &str) -> String {
    let mut short: String = reason.chars().take(REASON_MAX).collect();
    if short.len() < reason.len() {
        short.push('…');
    }
    short
}
