//! Reads a JSON body within limits of size and time, and says where it is wrong.

use std::future::Future;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use runtime::problem::{FieldError, Problem};
use serde::de::DeserializeOwned;

use super::explain::Explain;
use super::object::Object;
use super::problems;
use super::validation::Faults;

/// The largest body that is read.
const MAX_BYTES: usize = 1024 * 1024;
/// What some programs put in front of UTF-8 text. A parser of JSON may ignore it (RFC 8259, 8.1).
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// How long the whole body may take to arrive. The server's own limit ends with the head of the request.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(5);

/// A body that was read as `T`.
pub(super) struct JsonBody<T>(pub(super) T);

/// The same where the body may be left out, or be `null`: then it is `T`'s default. Without a body there is no content type
/// to ask for.
pub(super) struct OptionalJsonBody<T>(pub(super) T);

impl<T: DeserializeOwned + Explain + 'static> FromRequest for JsonBody<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), web::Payload::from_request(request, payload));
        async move {
            require_json(&request)?;
            parse(&read(&request, payload).await?).map(Self)
        }
        .boxed_local()
    }
}

impl<T: DeserializeOwned + Default + Explain + 'static> FromRequest for OptionalJsonBody<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), web::Payload::from_request(request, payload));
        async move {
            let bytes = read(&request, payload).await?;
            if bytes.is_empty() {
                return Ok(Self(T::default()));
            }
            require_json(&request)?;
            if bytes.trim_ascii() == b"null" {
                return Ok(Self(T::default()));
            }
            parse(&bytes).map(Self)
        }
        .boxed_local()
    }
}

fn require_json(request: &HttpRequest) -> Result<(), Problem> {
    // A compressed body would have to be unpacked under limits of its own; nobody needs that for an order.
    let encoding = request.headers().get(CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(unsupported_media_type("Content-Encoding", "must be `identity` or be left out"));
    }
    let mime = request.mime_type().ok().flatten();
    if mime.is_some_and(|mime| mime.essence_str() == mime::APPLICATION_JSON.essence_str()) {
        Ok(())
    } else {
        Err(unsupported_media_type("Content-Type", "must be `application/json`"))
    }
}

fn unsupported_media_type(header: &str, detail: &str) -> Problem {
    problems::UNSUPPORTED_MEDIA_TYPE
        .with(problems::UNSUPPORTED_MEDIA_TYPE.when)
        .at(vec![FieldError::header(header, detail)])
}

async fn read(
    request: &HttpRequest,
    payload: impl Future<Output = Result<web::Payload, actix_web::Error>>,
) -> Result<web::Bytes, Problem> {
    // What says beforehand that it is too large is not read at all.
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > MAX_BYTES) {
        return Err(problems::BODY_TOO_LARGE.with(problems::BODY_TOO_LARGE.when));
    }
    let payload = payload.await.map_err(|_broken| incomplete())?;
    tokio::time::timeout(ARRIVAL_LIMIT, payload.to_bytes_limited(MAX_BYTES))
        .await
        .map_err(|_elapsed| problems::BODY_TOO_SLOW.with(problems::BODY_TOO_SLOW.when))?
        .map_err(|_too_large| problems::BODY_TOO_LARGE.with(problems::BODY_TOO_LARGE.when))?
        .map(without_byte_order_mark)
        .map_err(|_broken| incomplete())
}

fn without_byte_order_mark(mut bytes: web::Bytes) -> web::Bytes {
    if bytes.starts_with(BYTE_ORDER_MARK) { bytes.split_off(BYTE_ORDER_MARK.len()) } else { bytes }
}

fn incomplete() -> Problem {
    problems::MALFORMED_BODY.with("The body ended before it was whole.")
}

/// Reads what a `T` needs. Where it is JSON and yet no `T`, a second look tells everything that is wrong with it.
fn parse<T: DeserializeOwned + Explain>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map(|Object(value)| value).map_err(|error| {
        let mut faults = Faults::default();
        match serde_json::from_slice(bytes) {
            Ok(body) => T::explain(&body, &mut faults),
            Err(not_json) => {
                return problems::MALFORMED_BODY.with(format!("The body is not JSON: {not_json}."));
            }
        }
        if faults.is_empty() {
            // What only a second look at the text could find: a field that is there twice.
            faults.add("", &error.to_string());
        }
        problems::MALFORMED_BODY
            .with("The body is JSON, but not of the form that is needed.")
            .at(faults.into_errors())
    })
}
