//! A receiver of webhooks, to copy: it verifies each message, and handles each event once.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

use actix_web::dev::Server;
use actix_web::web::{Bytes, Data, PayloadConfig, post};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook};

/// The longest body in bytes; a longer one gets a 413.
const BODY_MAX: usize = 4 << 20;
/// How many ids are remembered.
const IDS_MAX: usize = 10_000;

/// A message whose signature is right.
#[derive(Debug, Clone, Deserialize)]
pub struct Message {
    /// `webhook-id`: the event's id, the same in each copy.
    #[serde(skip)]
    pub id: String,
    /// The kind of event. Handle those that you know, and accept the rest.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it happened.
    pub timestamp: DateTime<Utc>,
    /// The event.
    pub data: serde_json::Value,
}

type Handle = Box<dyn FnMut(&Message) -> anyhow::Result<()> + Send>;

struct Receiver {
    webhook: Webhook,
    // With a database, store the id in the transaction in which you handle the event, and leave it there.
    handled: Mutex<(VecDeque<String>, Handle)>,
}

/// Serves `POST /` on `listener` until the server is dropped. Calls `handle` once for each event, again if it failed.
pub fn serve(
    listener: TcpListener,
    secret: &str,
    handle: impl FnMut(&Message) -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<Server> {
    let handle: Handle = Box::new(handle);
    let handled = Mutex::new((VecDeque::new(), handle));
    let receiver = Data::new(Receiver { webhook: Webhook::new(secret)?, handled });
    let app = move || {
        let app = App::new().app_data(receiver.clone()).app_data(PayloadConfig::new(BODY_MAX));
        app.route("/", post().to(receive))
    };
    Ok(HttpServer::new(app).workers(1).disable_signals().listen(listener)?.run())
}

async fn receive(receiver: Data<Receiver>, request: HttpRequest, body: Bytes) -> HttpResponse {
    // Of the body as it came, before anything in it is believed.
    if receiver.webhook.verify(&body, &headers(&request)).is_err() {
        return HttpResponse::Unauthorized().finish();
    }
    let Ok(mut message) = serde_json::from_slice::<Message>(&body) else {
        return HttpResponse::BadRequest().finish();
    };
    header(&request, HEADER_WEBHOOK_ID).clone_into(&mut message.id);
    let mut handled = receiver.handled.lock().unwrap_or_else(PoisonError::into_inner);
    let (ids, handle) = &mut *handled;
    if ids.contains(&message.id) {
        return HttpResponse::NoContent().finish();
    }
    if handle(&message).is_err() {
        return HttpResponse::ServiceUnavailable().finish();
    }
    ids.truncate(IDS_MAX - 1);
    ids.push_front(message.id);
    HttpResponse::NoContent().finish()
}

/// For the library, whose header types are newer than those of actix-web.
fn headers(request: &HttpRequest) -> http::HeaderMap {
    let names = [HEADER_WEBHOOK_ID, HEADER_WEBHOOK_TIMESTAMP, HEADER_WEBHOOK_SIGNATURE];
    let value = |name| http::HeaderValue::from_str(header(request, name)).ok();
    names.into_iter().filter_map(|name| Some((http::HeaderName::from_static(name), value(name)?))).collect()
}

fn header<'a>(request: &'a HttpRequest, name: &str) -> &'a str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
