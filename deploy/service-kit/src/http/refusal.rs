//! Requests that are refused before a handler gets them.

use std::sync::LazyLock;

use actix_http::{HttpMessage, Request};
use actix_web::http::header::UPGRADE;

use crate::problem::{FieldError, HEAD_TOO_SLOW, Problem};

/// Why this request gets no handler.
pub(super) fn refusal(request: &Request) -> Option<Problem> {
    // Its body would end with the connection, whatever its length: a handler could wait for it, and the client for the answer.
    let is_endless = asks_for_websocket(request) && !request.chunked().unwrap_or(false);
    let error = || FieldError::header("Upgrade", "must not be websocket: there are none here");
    is_endless.then(|| Problem::invalid_parameter(error()))
}

/// Whether the server takes everything behind the head for the body, unless that comes in chunks.
pub(super) fn asks_for_websocket(request: &Request) -> bool {
    let mut values = request.headers().get_all(UPGRADE).filter_map(|value| value.to_str().ok());
    values.any(|value| value.trim().eq_ignore_ascii_case("websocket"))
}

/// What a client gets whose head takes too long. The server has not seen a request that it could answer.
pub(super) static TOO_SLOW: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let body = serde_json::to_string(&HEAD_TOO_SLOW.with(HEAD_TOO_SLOW.when)).unwrap_or_default();
    let head = "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncache-control: no-store\r\n";
    let length = body.len();
    format!("{head}content-type: application/problem+json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
});

/// What a client gets whose head is too large, as from the server.
pub(super) static TOO_LARGE: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
