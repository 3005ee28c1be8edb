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
use serde_path_to_error::{Path, Segment};

use super::object::Object;
use super::problems;

/// The largest body that is read.
const MAX_BYTES: usize = 1024 * 1024;
/// How long the whole body may take to arrive. The server's own limit ends with the head of the request.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(5);

/// A body that was read as `T`.
pub(super) struct JsonBody<T>(pub(super) T);

/// The same where the body may be left out, or be `null`: then it is `T`'s default. Without a body there is no content type
/// to ask for.
pub(super) struct OptionalJsonBody<T>(pub(super) T);

impl<T: DeserializeOwned + 'static> FromRequest for JsonBody<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), web::Payload::from_request(request, payload));
        async move {
            require_json(&request)?;
            let Object(body) = parse(&read(&request, payload).await?)?;
            Ok(Self(body))
        }
        .boxed_local()
    }
}

impl<T: DeserializeOwned + Default + 'static> FromRequest for OptionalJsonBody<T> {
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
            let body: Option<Object<T>> = parse(&bytes)?;
            Ok(Self(body.map(|Object(body)| body).unwrap_or_default()))
        }
        .boxed_local()
    }
}

fn require_json(request: &HttpRequest) -> Result<(), Problem> {
    // A compressed body would have to be unpacked under limits of its own; nobody needs that for an order.
    let encoding = request.headers().get(CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(unsupported_media_type());
    }
    let mime = request.mime_type().ok().flatten().ok_or_else(unsupported_media_type)?;
    if mime.essence_str() == mime::APPLICATION_JSON.essence_str() {
        Ok(())
    } else {
        Err(unsupported_media_type())
    }
}

fn unsupported_media_type() -> Problem {
    problems::UNSUPPORTED_MEDIA_TYPE.with(problems::UNSUPPORTED_MEDIA_TYPE.when)
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
        .map_err(|_broken| incomplete())
}

fn incomplete() -> Problem {
    problems::MALFORMED_BODY.with("The body ended before it was whole.")
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let inner = error.inner();
        if inner.is_data() {
            let place = FieldError::at(short(&pointer(error.path())), short(&inner.to_string()));
            return problems::MALFORMED_BODY
                .with("The body is JSON, but not of the form that is needed.")
                .at(vec![place]);
        }
        not_json(inner)
    })?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

/// serde's messages repeat what the client sent, however long that is.
fn short(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{} …", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn not_json(error: &serde_json::Error) -> Problem {
    problems::MALFORMED_BODY.with(format!("The body is not JSON: {error}."))
}

/// A JSON pointer (RFC 6901).
fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        pointer.push('/');
        match segment {
            Segment::Seq { index } => pointer.push_str(&index.to_string()),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Unknown => pointer.push('?'),
        }
    }
    pointer
}
