//! What the page changes: as the commands `parked`, `subscriptions` and `webhooks` do, by the same functions.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::header::{CONTENT_TYPE, HOST, HeaderMap, ORIGIN};
use actix_web::{HttpRequest, web};
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use service_kit::database::Database;
use service_kit::overload::OncePerSecond;
use service_kit::problem::Problem;
use service_kit::{auth, log_output, request_id};

use super::failure::Failure;
use super::problems::{ACTIONS_OFF, INVALID_ACTION, NOT_FROM_THE_PAGE, UNKNOWN};
use super::{Inner, read};
use crate::parked::operator::{self as parked_operator, Selection};
use crate::subscription::operator::{self as subscription_operator, OperatorError};
use crate::webhooks::operator as webhook_operator;

const BODY_MAX: usize = 4 << 10;

/// A worker may hold the lock of a row for the time of a batch.
const LOCK_LIMIT: Duration = Duration::from_secs(3);
const LOCK_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Action {
    RetryParked { subscription: Option<String>, id: i64 },
    DiscardParked { subscription: Option<String>, id: i64 },
    PauseSubscription { name: String },
    ResumeSubscription { name: String },
    PauseWebhook { id: i64 },
    ResumeWebhook { id: i64 },
}

/// One line in the log: who, what, on which id, and how it ended.
#[derive(Debug, Default, Serialize)]
pub(super) struct Line {
    peer: Option<IpAddr>,
    #[serde(rename = "request.id", skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i64>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
}

const TARGET: &str = "audit";
const MESSAGE: &str = "operator action";

impl Line {
    pub(super) fn new(request: &HttpRequest) -> Self {
        Self {
            peer: request.peer_addr().map(|peer| peer.ip()),
            request_id: request_id::of(request.headers()).map(str::to_owned),
            ..Self::default()
        }
    }

    fn of(&mut self, action: &Action) {
        let (name, subscription, id) = match action {
            Action::RetryParked { subscription, id } => ("retry_parked", subscription.clone(), Some(*id)),
            Action::DiscardParked { subscription, id } => ("discard_parked", subscription.clone(), Some(*id)),
            Action::PauseSubscription { name } => ("pause_subscription", Some(name.clone()), None),
            Action::ResumeSubscription { name } => ("resume_subscription", Some(name.clone()), None),
            Action::PauseWebhook { id } => ("pause_webhook", None, Some(*id)),
            Action::ResumeWebhook { id } => ("resume_webhook", None, Some(*id)),
        };
        // The text of a caller: of any length, and with any characters.
        let shown = |name: String| auth::escaped(&name).into_owned();
        (self.action, self.subscription, self.id) = (Some(name), subscription.map(shown), id);
    }

    /// Anybody on this machine can send what is refused: it has a line a second, which may be dropped.
    pub(super) fn refused(&mut self, problem: &Problem) {
        static REFUSED: OncePerSecond = OncePerSecond::new();
        (self.outcome, self.times) = (problem.slug(), REFUSED.count());
        if self.times.is_some() {
            log_output::record_refusal(TARGET, MESSAGE, self);
        }
    }
}

/// Whether the request may act: an action is a request of the page itself, or of a program. A page of another origin
/// can send neither the header nor the content type, because no CORS allows them.
pub(super) fn check(request: &HttpRequest, may_act: bool) -> Result<(), Problem> {
    if !may_act {
        return Err(ACTIONS_OFF.with(ACTIONS_OFF.when));
    }
    let headers = request.headers();
    let is_json = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
    });
    let is_marked = headers.get("x-orders-action").is_some_and(|value| value == "1");
    if is_json && is_marked && is_same_origin(headers) {
        return Ok(());
    }
    Err(NOT_FROM_THE_PAGE.with(NOT_FROM_THE_PAGE.when))
}

/// Another port of this machine is another origin.
pub(super) fn is_same_origin(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    headers.get_all(ORIGIN).all(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        origin.is_some_and(|(_, authority)| Some(authority) == host)
    })
}

pub(super) async fn parse(body: web::Payload) -> Result<Action, Problem> {
    let invalid = || INVALID_ACTION.with(INVALID_ACTION.when);
    let body = body.to_bytes_limited(BODY_MAX).await.map_err(|_too_large| invalid())?;
    let action = serde_json::from_slice(&body.map_err(|_cut| invalid())?).map_err(|_error| invalid())?;
    let named = match &action {
        Action::RetryParked { subscription, .. } | Action::DiscardParked { subscription, .. } => {
            subscription.as_deref()
        }
        Action::PauseSubscription { name } | Action::ResumeSubscription { name } => Some(name.as_str()),
        Action::PauseWebhook { .. } | Action::ResumeWebhook { .. } => None,
    };
    // PostgreSQL has no text with a zero byte.
    if named.is_some_and(|name| name.contains('\0')) { Err(invalid()) } else { Ok(action) }
}

/// Runs it, and writes its line. It does nothing while lines cannot be written.
pub(super) async fn run_recorded(inner: Arc<Inner>, action: Action, mut line: Line) -> Result<(), Problem> {
    line.of(&action);
    if log_output::is_failing() {
        let problem = Problem::unavailable("The action cannot be recorded. Nothing was done.");
        line.refused(&problem);
        return Err(problem);
    }
    let running = tokio::spawn({
        let inner = Arc::clone(&inner);
        async move { run(&inner, action).await }
    });
    let result = running.await.unwrap_or_else(|_panicked| Err(Problem::internal()));
    line.outcome = result.as_ref().map_or_else(Problem::slug, |()| "done");
    log_output::record(TARGET, MESSAGE, &line);
    inner.state.forget().await;
    inner.parked.forget().await;
    result
}

async fn run(inner: &Inner, action: Action) -> Result<(), Problem> {
    let database = &inner.database;
    let is_found = match action {
        Action::RetryParked { subscription, id } => {
            let owner = read::owner(inner, subscription.as_deref()).await?;
            let retry = patiently(|| {
                let owner = owner.clone();
                statement(database, move |c| {
                    async move { parked_operator::make_due(c, &owner, &Selection::Ids(vec![id])).await }
                        .boxed()
                })
            });
            !retry.await?.is_empty()
        }
        Action::DiscardParked { subscription, id } => {
            let owner = read::owner(inner, subscription.as_deref()).await?;
            let discard = patiently(|| {
                let owner = owner.clone();
                statement(database, move |c| {
                    async move { parked_operator::discard(c, &owner, &Selection::Ids(vec![id])).await }
                        .boxed()
                })
            });
            !discard.await?.is_empty()
        }
        Action::PauseWebhook { id } => {
            patiently(|| statement(database, move |c| webhook_operator::pause(c, id).boxed())).await?
        }
        Action::ResumeWebhook { id } => {
            patiently(|| statement(database, move |c| webhook_operator::resume(c, id).boxed())).await?
        }
        Action::PauseSubscription { name } => {
            patiently(|| change(database, &name, |c, name| subscription_operator::pause(c, name).boxed()))
                .await?;
            true
        }
        Action::ResumeSubscription { name } => {
            patiently(|| change(database, &name, |c, name| subscription_operator::resume(c, name).boxed()))
                .await?;
            true
        }
    };
    is_found.then_some(()).ok_or_else(|| UNKNOWN.with(UNKNOWN.when))
}

/// One statement.
fn statement<'a, T: Send + 'a>(
    database: &'a Database,
    work: impl for<'c> FnOnce(&'c mut AsyncPgConnection) -> BoxFuture<'c, QueryResult<T>> + Send + 'a,
) -> BoxFuture<'a, Result<T, Failure>> {
    async move { Ok(database.run(work).await?) }.boxed()
}

/// One transaction that changes a subscription.
fn change<'a>(
    database: &'a Database,
    name: &'a str,
    work: impl for<'c> FnOnce(&'c mut AsyncPgConnection, &'c str) -> BoxFuture<'c, Result<(), OperatorError>>
    + Send
    + 'a,
) -> BoxFuture<'a, Result<(), Failure>> {
    async move { Ok(subscription_operator::change(database, name, work).await?) }.boxed()
}

/// Tries again while another session holds a lock, or no connection is free.
async fn patiently<'a, T>(attempt: impl Fn() -> BoxFuture<'a, Result<T, Failure>>) -> Result<T, Problem> {
    let start = Instant::now();
    loop {
        match attempt().await {
            Ok(done) => return Ok(done),
            Err(failure) if failure.is_final() || start.elapsed() > LOCK_LIMIT => return Err(failure.into()),
            Err(_) => tokio::time::sleep(LOCK_PAUSE).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_text_of_a_caller_escaped_and_shortened() {
        let mut line = Line::default();
        for name in ["\u{202e}evil\u{9b}31m".to_owned(), "\u{202e}".repeat(4_000)] {
            line.of(&Action::PauseSubscription { name: name.clone() });
            let shown = line.subscription.clone().unwrap();
            assert!(!shown.contains(['\u{202e}', '\u{9b}']) && shown.len() < 2_000, "{shown}");
            line.of(&Action::RetryParked { subscription: Some(name), id: 1 });
            assert_eq!(line.subscription.as_deref(), Some(shown.as_str()));
        }
    }
}
