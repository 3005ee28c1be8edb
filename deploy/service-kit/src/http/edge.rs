//! What is done with every request before its handler and with every response after it.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use actix_http::body::{BodySize, BoxBody, MessageBody};
use actix_http::error::PayloadError;
use actix_http::{ConnectionType, HttpMessage, Payload, Request, Response};
use actix_web::http::header::{CONTENT_LENGTH, HeaderValue};
use actix_web::http::{Method, Uri, Version};
use actix_web::web::Bytes;
use futures_util::Stream;

use super::connection::{Body, Connection};
use super::refusal::asks_for_websocket;

/// Set once the process is to stop: from then on each response ends its connection.
#[derive(Clone, Default)]
pub(super) struct Closing(Arc<AtomicBool>);

impl Closing {
    pub(super) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A request that is being answered.
pub(super) struct Exchange {
    connection: Option<Rc<Connection>>,
    /// Whether the handler has read the whole body, where the server would read on until the client has sent all of it.
    chunked_body: Option<Rc<Cell<bool>>>,
    is_head: bool,
    is_http_10: bool,
    /// The client offers another protocol, as Java's client does with h2c. The server ends such a connection, but does not say so.
    is_upgrade: bool,
}

impl Exchange {
    /// Takes note of the request.
    pub(super) fn begin(mut request: Request) -> (Self, Request) {
        let connection = request.conn_data::<Rc<Connection>>().cloned();
        let body = body_of(&mut request);
        if let Some(connection) = &connection {
            connection.begin_request(body);
        }
        if body != Body::None {
            leave_read_buffer(&mut request);
        }
        let mut exchange = Self {
            connection,
            chunked_body: None,
            is_head: *request.method() == Method::HEAD,
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

    /// Has the connection closed after the response where it must not be used again.
    pub(super) fn end(self, mut response: Response<BoxBody>, closing: &Closing) -> Response<ResponseBody> {
        let is_body_unread = self.chunked_body.is_some_and(|read| !read.get());
        let is_endless = matches!(response.body().size(), BodySize::Stream);
        // HTTP/1.0 knows no chunks: the end of the connection is the end of the stream.
        let ends_by_closing = self.is_http_10 && is_endless;
        if ends_by_closing {
            response.head_mut().no_chunking(true);
        }
        if self.is_head || self.is_upgrade || is_body_unread || ends_by_closing || closing.has_begun() {
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
        let (is_head, connection) = (self.is_head, self.connection);
        response.map_body(|_, body| ResponseBody { body, is_head, is_body_unread, connection })
    }
}

/// The body as the server frames it, which has checked these headers.
fn body_of(request: &mut Request) -> Body {
    if matches!(request.payload(), Payload::None) {
        return Body::None;
    }
    if request.chunked().unwrap_or(false) {
        return Body::Chunked;
    }
    if asks_for_websocket(request) {
        return Body::Endless;
    }
    let length = request.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.trim().parse().ok());
    length.map_or(Body::Endless, Body::Length)
}

/// Gives the request a path and headers of its own. Those of the server are parts of the buffer that they were read into, together
/// with the beginning of the body; and the server keeps the heads of finished requests, as they are, for further ones: with them it
/// would keep the buffers.
fn leave_read_buffer(request: &mut Request) {
    if let Ok(own) = Uri::try_from(request.uri().to_string()) {
        *request.uri_mut() = own;
    }
    let headers = request.headers_mut();
    let shared: Vec<_> = headers.drain().collect();
    let mut name = None;
    for (next, value) in shared {
        // Further values of a header come without its name.
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

/// A response's body. The server drops it when it has taken all of it.
pub(super) struct ResponseBody {
    body: BoxBody,
    /// The response to HEAD: it has the size of the body, and no body.
    is_head: bool,
    is_body_unread: bool,
    connection: Option<Rc<Connection>>,
}

impl MessageBody for ResponseBody {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        if this.is_head { Poll::Ready(None) } else { Pin::new(&mut this.body).poll_next(cx) }
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

    use super::*;

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
        let (_, request) = Exchange::begin(request);
        assert!(buffer.is_unique(), "a part of the buffer is still held");
        assert_eq!(request.uri(), "/orders?a=b");
        assert!(request.headers().get_all(FORWARDED).eq(["one", "two"]));
        assert_eq!(request.headers().get(HOST).unwrap(), "three");
    }
}
