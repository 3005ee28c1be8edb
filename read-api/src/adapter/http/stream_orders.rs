//! `GET /customers/{customer_id}/orders/stream`.

use std::convert::Infallible;
use std::fmt::Write;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::{StreamExt, stream};
use serde::Serialize;
use service_kit::auth::Grant;
use service_kit::problem::Problem;

use super::problems::StreamProblems;
use super::{CUSTOMER_ORDERS_STREAM, customer_id, problems};
use crate::live::{Delivery, EventData, Live, LiveEvent};
use crate::model::{OrderSummary, ResumePoint};
use crate::port::OrderWatch;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Disables buffering in nginx, so that events arrive at once.
const NO_BUFFERING: (&str, &str) = ("x-accel-buffering", "no");

/// The number of events that are formatted at a time.
const EVENTS_PER_CHUNK: usize = 64;

/// The time after which a browser reconnects, in milliseconds.
const RETRY: &str = "retry: 1000\n\n";

#[derive(Serialize)]
struct Snapshot<'a> {
    orders: Vec<&'a OrderSummary>,
}

/// A customer's orders, live
///
/// A stream of server-sent events:
///
/// - `snapshot`: the newest 20 orders. It comes first and replaces everything that you know.
/// - `order`: an order that was placed or changed. It may come twice, or in an older version after a newer one: show
///   the highest `version`.
/// - `heartbeat`: every 5 seconds while the read model can be read.
///
/// Each event has an id. Reconnect with the id of the last event to get the changes since then. If they cannot be
/// listed, or are too many, you get another `snapshot`; it may also come later in a stream.
#[utoipa::path(
    get, path = CUSTOMER_ORDERS_STREAM, tag = "orders", operation_id = "stream_orders",
    params(
        ("customer_id" = String, Path, description = "The customer's id; without control characters.",
            min_length = 1, max_length = 128, pattern = r"^[^\u0000-\u001F\u007F-\u009F]+$", example = "alice"),
        ("Last-Event-ID" = Option<String>, Header, nullable = false,
            description = "The id of the last event that you received."),
        ("last_event_id" = Option<String>, Query, nullable = false,
            description = "The same id as a query parameter: a browser's EventSource cannot set headers. The \
                header has precedence."),
    ),
    responses(
        (status = 200, description = "The stream. It ends when the access token \
            expires, if the client reads too slowly, or if the process stops.",
            content_type = "text/event-stream", body = String),
        StreamProblems,
    ),
)]
pub(super) async fn handle<W: OrderWatch>(
    request: HttpRequest,
    grant: Grant,
    customer_id: web::Path<String>,
    query: web::Query<Vec<(String, String)>>,
    live: web::Data<Live<W>>,
) -> Result<HttpResponse, Problem> {
    let customer_id = customer_id::from_path(&request, &grant, customer_id.into_inner())?;
    let last = last_event_id(&request, &query)?;
    let held = grant.stream()?;
    let subscription = live.subscribe(customer_id, last).await?;
    let updates =
        stream::unfold(subscription.updates, async |mut updates| Some((updates.recv().await?, updates)));
    let frames =
        stream::iter(subscription.initial).chain(updates).flat_map(|delivery| stream::iter(frames(delivery)));
    let bytes = stream::iter([Bytes::from_static(RETRY.as_bytes())]).chain(frames);
    // Each item is whole events, so the last event is complete.
    let bytes = bytes.take_until(grant.ended());
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(NO_BUFFERING)
        .streaming(bytes.map(move |bytes| {
            // Until the stream ends.
            let _held = &held;
            Ok::<_, Infallible>(bytes)
        })))
}

/// The point to resume from. An id that cannot be parsed, such as one of another version of this service, is ignored:
/// the stream then starts with a snapshot.
fn last_event_id(request: &HttpRequest, query: &[(String, String)]) -> Result<Option<ResumePoint>, Problem> {
    let mut last = None;
    for (name, value) in query {
        if name != "last_event_id" {
            return Err(problems::unknown_parameter(&["last_event_id"]));
        }
        if last.replace(value.as_str()).is_some() {
            return Err(problems::invalid_parameter(name, "must be given once"));
        }
    }
    let header = request.headers().get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
    Ok(header.or(last).and_then(|id| id.parse().ok()))
}

/// The events in wire format (HTML standard, 9.2.6), in chunks: the next chunk takes memory only when the client has
/// read this one.
fn frames(delivery: Delivery) -> impl Iterator<Item = Bytes> {
    let mut events = delivery.into_events();
    std::iter::from_fn(move || {
        let mut text = String::new();
        events.by_ref().take(EVENTS_PER_CHUNK).for_each(|event| push_frame(&mut text, &event));
        (!text.is_empty()).then(|| Bytes::from(text))
    })
}

fn push_frame(text: &mut String, LiveEvent { resume_point, data }: &LiveEvent) {
    let (event, data) = match data {
        EventData::Snapshot(orders) => {
            let orders = orders.iter().map(AsRef::as_ref).collect();
            ("snapshot", serde_json::to_string(&Snapshot { orders }))
        }
        EventData::Order(order) => ("order", serde_json::to_string(order.as_ref())),
        EventData::Heartbeat => ("heartbeat", Ok("{}".to_owned())),
    };
    // Cannot fail: a summary consists of numbers and text. Compact JSON has no line breaks, which would end the field.
    let data = data.unwrap_or_default();
    // Writing to a string cannot fail.
    let _ok = write!(text, "event: {event}\nid: {resume_point}\ndata: {data}\n\n");
}
