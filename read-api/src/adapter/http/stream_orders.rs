//! `GET /customers/{customer_id}/orders/stream`.

use std::convert::Infallible;
use std::fmt::Write;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::{StreamExt, stream};
use serde::Serialize;
use service_kit::problem::Problem;

use super::problems::ListProblems;
use super::{CUSTOMER_ORDERS_STREAM, customer_id, problems};
use crate::live::{Delivery, Live, LiveEvent, News};
use crate::model::{Mark, OrderSummary};
use crate::port::OrderWatch;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Asks nginx not to gather what should arrive at once.
const BUFFERING: (&str, &str) = ("x-accel-buffering", "no");

/// How many events are put into text at a time.
const EVENTS_A_CHUNK: usize = 64;

/// After how many milliseconds a browser comes back.
const RETRY: &str = "retry: 1000\n\n";

#[derive(Serialize)]
struct Snapshot<'a> {
    orders: Vec<&'a OrderSummary>,
}

/// A customer's orders, live
///
/// Server-sent events. First a `snapshot` with the newest 20 orders, then an `order` for each that is placed or changed, and a
/// `heartbeat` every 5 seconds as long as the read model can be read. An order may be sent twice, or in an older version after a
/// newer one: `version` decides. Each event has an id. A client that comes back with the last one gets what has changed since. Where
/// that cannot be found out or is too much, then or later in the stream, it gets another `snapshot`: what it knew before no longer
/// counts.
#[utoipa::path(
    get, path = CUSTOMER_ORDERS_STREAM, tag = "orders", operation_id = "stream_orders",
    params(
        ("customer_id" = String, Path, description = "Whose orders; no control characters.",
            min_length = 1, max_length = 128, pattern = r"^[^\u0000-\u001F\u007F-\u009F]+$", example = "alice"),
        ("Last-Event-ID" = Option<String>, Header, nullable = false, description = "The id of the last event that was received."),
        ("last_event_id" = Option<String>, Query, nullable = false,
            description = "The same, for a browser that opens a stream anew; the header counts more."),
    ),
    responses(
        (status = 200, description = "The stream; it ends when the client is too slow or the process stops.",
            content_type = "text/event-stream", body = String),
        ListProblems,
    ),
)]
pub(super) async fn handle<W: OrderWatch>(
    request: HttpRequest,
    customer_id: web::Path<String>,
    query: web::Query<Vec<(String, String)>>,
    live: web::Data<Live<W>>,
) -> Result<HttpResponse, Problem> {
    let customer_id = customer_id::of_path(&request, customer_id.into_inner())?;
    let mark = last_event_id(&request, &query)?;
    let subscription =
        live.subscribe(customer_id, mark).await.map_err(|error| problems::of_subscribe(&error))?;
    let then = stream::unfold(subscription.then, async |mut then| Some((then.recv().await?, then)));
    let frames =
        stream::iter(subscription.first).chain(then).flat_map(|delivery| stream::iter(frames(delivery)));
    let bytes = stream::iter([Bytes::from_static(RETRY.as_bytes())]).chain(frames);
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(BUFFERING)
        .streaming(bytes.map(Ok::<_, Infallible>)))
}

/// Where the client was. An id that cannot be read, of another version of this service, say, tells nothing: then a snapshot
/// does.
fn last_event_id(request: &HttpRequest, query: &[(String, String)]) -> Result<Option<Mark>, Problem> {
    let mut last = None;
    for (name, value) in query {
        if name != "last_event_id" {
            return Err(problems::unknown_parameter(name));
        }
        if last.replace(value.as_str()).is_some() {
            return Err(problems::invalid_parameter(name, "must be given once"));
        }
    }
    let header = request.headers().get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
    Ok(header.or(last).and_then(|id| id.parse().ok()))
}

/// The events as they go over the wire (HTML, 9.2.6), some at a time: the next ones take memory only when the client has taken
/// these.
fn frames(delivery: Delivery) -> impl Iterator<Item = Bytes> {
    let mut events = delivery.into_events();
    std::iter::from_fn(move || {
        let mut text = String::new();
        events.by_ref().take(EVENTS_A_CHUNK).for_each(|event| push_frame(&mut text, &event));
        (!text.is_empty()).then(|| Bytes::from(text))
    })
}

/// JSON has no line breaks.
fn push_frame(text: &mut String, LiveEvent { mark, news }: &LiveEvent) {
    let (event, data) = match news {
        News::Snapshot(orders) => {
            let orders = orders.iter().map(AsRef::as_ref).collect();
            ("snapshot", serde_json::to_string(&Snapshot { orders }))
        }
        News::Order(order) => ("order", serde_json::to_string(order.as_ref())),
        News::Heartbeat => ("heartbeat", Ok("{}".to_owned())),
    };
    // A summary is numbers and text, all of which JSON has.
    let data = data.unwrap_or_default();
    // Writing to a string cannot fail.
    let _ok = write!(text, "event: {event}\nid: {mark}\ndata: {data}\n\n");
}
