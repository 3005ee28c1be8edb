//! Runs before each handler and after each response.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_http::error::PayloadError;
use actix_http::{ConnectionType, HttpMessage, Payload, Request, Response};
use actix_web::http::header::{CONTENT_LENGTH, HeaderValue};
use actix_web::http::{Method, Uri, Version};
use actix_web::web::Bytes;
use futures_util::Stream;
use tokio_util::sync::CancellationToken;

use super::access_log::{AccessLog, Entry};
use super::connection::{Body, Connection};
use super::in_flight::InFlight;
use super::refusal::requests_websocket;
use super::request_metrics::ThreadMetrics;
use crate::problem::Problem;

/// A request in progress.
pub(super) struct Exchange {
    connection: Option<Rc<Connection>>,
    /// For a chunked body: whether the handler has read all of it. The server would otherwise read on until its end.
    chunked_body: Option<Rc<Cell<bool>>>,
    entry: Entry,
    is_http_10: bool,
    /// The client offers another protocol, as Java's client does with h2c. The server closes such a connection without
    /// announcing it.
    is_upgrade: bool,
}

impl Exchange {
    /// `request` has the id `request_id`.
    pub(super) fn begin(
        mut request: Request,
        recorded: (AccessLog, Rc<ThreadMetrics>),
        request_id: HeaderValue,
    ) -> (Self, Request) {
        let connection = request.conn_data::<Rc<Connection>>().cloned();
        let body = body_of(&mut request);
        if let Some(connection) = &connection {
            connection.begin_request(body);
        }
        if body != Body::None {
            detach_from_read_buffer(&mut request);
        }
        let mut exchange = Self {
            connection,
            chunked_body: None,
            entry: Entry::begin(recorded, &request, request_id),
            is_http_10: request.version() < Version::HTTP_11,
            is_upgrade: request.head().connection_type() == ConnectionType::Upgrade,
        };
        if body != Body::Chunked {
            return (exchange, request);
        }
        let read = Rc::new(Cell::new(false));
        exchange.chunked_body = Some(Rc::clone(&read));
        let payload = WatchedPayload { payload: request.take_payload(), read };
        *request.payload() = Payload::Stream { payload: Box::pin(payload) };
        (exchange, request)
    }

    /// Counts the request as in flight until [`Self::end`].
    pub(super) fn begin_work(&self, in_flight: &InFlight) -> Result<(), Problem> {
        let Some(connection) = &self.connection else { return Ok(()) };
        connection.begin_work(in_flight.enter()?);
        Ok(())
    }

    /// Marks the connection to be closed after the response if it must not be reused.
    pub(super) fn end(
        self,
        mut response: Response<BoxBody>,
        closing: &CancellationToken,
    ) -> Response<ResponseBody> {
        let mut entry = self.entry;
        if let Some(connection) = &self.connection {
            connection.end_work();
        }
        entry.respond(response.status());
        let is_head = *entry.method() == Method::HEAD;
        let is_body_unread = self.chunked_body.is_some_and(|read| !read.get());
        let is_endless = matches!(response.body().size(), BodySize::Stream);
        // HTTP/1.0 has no chunks: the stream ends with the connection.
        let ends_by_closing = self.is_http_10 && is_endless;
        if ends_by_closing {
            response.head_mut().no_chunking(true);
        }
        if is_head || self.is_upgrade || is_body_unread || ends_by_closing || closing.is_cancelled() {
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
        let connection = self.connection;
        response.map_body(|_, body| ResponseBody { body, is_head, is_body_unread, connection, entry })
    }
}

/// The body as the server frames it. The server has checked these headers.
fn body_of(request: &mut Request) -> Body {
    if matches!(request.payload(), Payload::None) {
        return Body::None;
    }
    if request.chunked().unwrap_or(false) {
        return Body::Chunked;
    }
    if requests_websocket(request) {
        return Body::Endless;
    }
    let length = request.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.trim().parse().ok());
    length.map_or(Body::Endless, Body::Length)
}

/// Copies path and headers. They are slices of the read buffer, and the server keeps the heads of finished requests for
/// reuse: without the copy it would keep the buffers too.
fn detach_from_read_buffer(request: &mut Request) {
    if let Ok(own) = Uri::try_from(request.uri().to_string()) {
        *request.uri_mut() = own;
    }
    let headers = request.headers_mut();
    let shared: Vec<_> = headers.drain().collect();
    let mut name = None;
    for (next, value) in shared {
        // `drain` returns further values of a header without its name.
        name = next.or(name);
        if let Some(name) = &name {
            headers.append(name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap_or(value));
        }
    }
}

/// A request's body, and whether it was read to its end.
struct WatchedPayload {
    payload: Payload,
    read: Rc<Cell<bool>>,
}

impl Stream for WatchedPayload {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let next = ready!(Pin::new(&mut this.payload).poll_next(cx));
        this.read.set(next.is_none());
        Poll::Ready(next)
    }
}

/// A response's body. The server drops it after its last part.
pub(super) struct ResponseBody {
    body: BoxBody,
    /// A response to HEAD has the size of the body, but no body.
    is_head: bool,
    is_body_unread: bool,
    connection: Option<Rc<Connection>>,
    entry: Entry,
}

impl MessageBody for ResponseBody {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        if this.is_head {
            return Poll::Ready(None);
        }
        let next = ready!(Pin::new(&mut this.body).poll_next(cx));
        if let Some(Ok(part)) = &next {
            this.entry.sent(part.len());
        }
        Poll::Ready(next)
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.end_response(self.is_body_unread);
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{FORWARDED, HOST};
    use utoipa::openapi::OpenApi;

    use super::super::request_metrics::RequestMetrics;
    use super::*;
    use crate::metrics::Registry;

    #[test]
    fn a_request_with_a_body_does_not_keep_the_buffer_that_it_was_read_into() {
        let buffer = Bytes::from(b"/orders?a=b one two three".to_vec());
        let value = |range| HeaderValue::from_maybe_shared(buffer.slice(range)).unwrap();
        let mut request = Request::new();
        *request.payload() = Payload::Stream { payload: Box::pin(futures_util::stream::empty()) };
        *request.uri_mut() = Uri::from_maybe_shared(buffer.slice(..11)).unwrap();
        request.headers_mut().append(FORWARDED, value(12..15));
        request.headers_mut().append(FORWARDED, value(16..19));
        request.headers_mut().append(HOST, value(20..25));
        assert!(!buffer.is_unique());
        let id = HeaderValue::from_static("an-id");
        let metrics = RequestMetrics::register(&Registry::new(&[]).unwrap(), &OpenApi::default());
        let recorded = (AccessLog::Off, Rc::new(metrics.on_this_thread()));
        let (_, request) = Exchange::begin(request, recorded, id);
        assert!(buffer.is_unique(), "a part of the buffer is still held");
        assert_eq!(request.uri(), "/orders?a=b");
        assert!(request.headers().get_all(FORWARDED).eq(["one", "two"]));
        assert_eq!(request.headers().get(HOST).unwrap(), "three");
    }
}
