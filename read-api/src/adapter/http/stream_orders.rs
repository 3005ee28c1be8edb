//! `GET /customers/{customer_id}/orders/stream`.

use std::convert::Infallible;
use std::fmt::Write;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::{StreamExt, stream};
use runtime::problem::Problem;
use serde::Serialize;

use super::problems::ListProblems;
use super::{CUSTOMER_ORDERS_STREAM, customer_id, problems};
use crate::live::{Live, LiveEvent, News};
use crate::model::{Mark, OrderSummary};
use crate::port::OrderWatch;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Asks nginx not to gather what should arrive at once.
const BUFFERING: (&str, &str) = ("x-accel-buffering", "no");

/// After how many milliseconds a browser comes back.
const RETRY: &str = "retry: 1000\n\n";

#[derive(Serialize)]
struct Snapshot<'a> {
    orders: &'a [OrderSummary],
}

/// A customer's orders, live
///
/// Server-sent events. First a `snapshot` with the newest 20 orders, then an `order` for each that is placed or changed, and a
/// `heartbeat` every 5 seconds as long as the read model can be read. An order may be told twice, or by an older version after a
/// newer one: `version` decides. Each event has an id. Who comes back with the last one is told what has changed since, without
/// a snapshot; or gets a `snapshot` where that cannot be found out: then what was known before counts no more.
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
    let told = last_event_id(&request, &query)?;
    let subscription =
        live.subscribe(customer_id, told).await.map_err(|error| problems::of_subscribe(&error))?;
    let then = stream::unfold(subscription.then, async |mut then| Some((then.recv().await?, then)));
    let events = stream::iter([subscription.first]).chain(then).map(|batch| frames(&batch));
    let bytes = stream::iter([Bytes::from_static(RETRY.as_bytes())]).chain(events);
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

/// The events as they go over the wire (HTML, 9.2.6). JSON has no line breaks.
fn frames(batch: &[LiveEvent]) -> Bytes {
    let mut text = String::new();
    for LiveEvent { mark, news } in batch {
        let (event, data) = match news {
            News::Snapshot(orders) => ("snapshot", serde_json::to_string(&Snapshot { orders })),
            News::Order(order) => ("order", serde_json::to_string(order.as_ref())),
            News::Heartbeat => ("heartbeat", Ok("{}".to_owned())),
        };
        // A summary is numbers and text, all of which JSON has.
        let data = data.unwrap_or_default();
        // Writing to a string cannot fail.
        let _ok = write!(text, "event: {event}\nid: {mark}\ndata: {data}\n\n");
    }
    Bytes::from(text)
}
