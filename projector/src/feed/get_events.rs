//! `GET /events`.

use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, ContentType};
use actix_web::{HttpRequest, HttpResponse, web};
use service_kit::auth::Grant;
use service_kit::preference::{PREFERENCE_APPLIED, wait};
use service_kit::problem::Problem;

use super::feed::Feed;
use super::metrics::Counters;
use super::page::FeedPage;
use super::problems::FeedProblems;
use super::query::FeedQuery;
use super::{EVENTS, MAX_WAIT_S};

/// Personal data, and different each time.
const CACHING: &str = "no-store";

/// The events of all orders
///
/// Keep `checkpoint` of each response, after you have processed its events, and send it as `after` of your next
/// request. So you get every event at least once, also across restarts of either side, and the versions of each order
/// in order. After a restart you may get events again: `data.event_id` is the same in each copy.
///
/// With `Prefer: wait=<seconds>`, a request that finds no event waits for one, up to 30 seconds. So you get each event
/// milliseconds after it was logged, without polling.
///
/// `order_republished` events repeat an order's state and say nothing new. You get them only if you name them in
/// `kind`.
#[utoipa::path(
    get, path = EVENTS, tag = "events", operation_id = "get_events",
    params(
        ("after" = Option<String>, Query, nullable = false, example = "now", pattern = "^(now|[A-Za-z0-9_-]{28})$",
            description = "`checkpoint` of the last response, unchanged. Without it you start at the oldest event of \
                the log, which keeps events for some days. `now` starts with the events that are logged from now on."),
        ("limit" = Option<u16>, Query, nullable = false, minimum = 1, maximum = 1000, example = 100,
            description = "The maximum number of events. There may be fewer: a response has about 1 MiB at most, or \
                one larger event."),
        ("kind" = Option<Vec<String>>, Query, nullable = false, max_items = 6, explode = true,
            description = "Only events of this kind: `order_placed`, `order_paid`, `order_shipped`, \
                `order_delivered`, `order_cancelled` or `order_republished`. Repeat it for several kinds. Without it \
                you get all but `order_republished`, also kinds that are added later."),
        ("Prefer" = Option<String>, Header, nullable = false, example = "wait=2",
            description = "`wait=<seconds>`: how long to wait for an event. More than 30 counts as 30."),
    ),
    responses(
        (status = 200, description = "The next events; none if there are none in time.", body = FeedPage<'static>,
            headers(("Preference-Applied" = String,
                description = "`wait=<seconds>`, if the request had this preference."))),
        FeedProblems,
    ),
)]
pub(super) async fn handle(
    request: HttpRequest,
    grant: Grant,
    query: web::Query<Vec<(String, String)>>,
    feed: web::Data<Feed>,
    counters: web::Data<Counters>,
) -> Result<HttpResponse, Problem> {
    let query = FeedQuery::parse(&query).inspect_err(|_| counters.failed.increment(1))?;
    let wait: Option<Duration> = wait(&request, MAX_WAIT_S);
    let page = feed
        .page(&query, wait.unwrap_or_default(), grant.ended(), || grant.wait(&request))
        .await
        .inspect_err(|_| counters.failed.increment(1))?;
    counters.events.increment(page.events.try_into().unwrap_or(u64::MAX));
    let mut response = HttpResponse::Ok();
    response.content_type(ContentType::json()).insert_header((CACHE_CONTROL, CACHING));
    if let Some(wait) = wait {
        response.insert_header((PREFERENCE_APPLIED, format!("wait={}", wait.as_secs())));
    }
    Ok(response.body(page.body))
}
