//! Reads a JSON body within limits of size and time, and says where it is wrong.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use runtime::problem::{FieldError, Problem};
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use super::problems;

/// The largest body that is read.
const MAX_BYTES: usize = 1024 * 1024;
/// How long the whole body may take to arrive. The server's own limit ends with the head of the request.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(5);

/// A body that was read as `T`.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned + 'static> FromRequest for JsonBody<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let payload = web::Payload::from_request(request, payload);
        let request = request.clone();
        async move {
            require_json(&request)?;
            let payload = payload.await.map_err(|_broken| Problem::internal())?;
            let bytes = read(&request, payload).await?;
            parse(&bytes).map(Self)
        }
        .boxed_local()
    }
}

fn require_json(request: &HttpRequest) -> Result<(), Problem> {
    let mime = request
        .mime_type()
        .ok()
        .flatten()
        .ok_or_else(problems::unsupported_media_type)?;
    if mime.essence_str() == mime::APPLICATION_JSON.essence_str() {
        Ok(())
    } else {
        Err(problems::unsupported_media_type())
    }
}

async fn read(request: &HttpRequest, payload: web::Payload) -> Result<web::Bytes, Problem> {
    // What says beforehand that it is too large is not read at all.
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > MAX_BYTES.try_into().unwrap_or(u64::MAX)) {
        return Err(problems::body_too_large(MAX_BYTES));
    }
    tokio::time::timeout(ARRIVAL_LIMIT, payload.to_bytes_limited(MAX_BYTES))
        .await
        .map_err(|_elapsed| problems::body_too_slow())?
        .map_err(|_too_large| problems::body_too_large(MAX_BYTES))?
        .map_err(|_broken| problems::malformed_body("The body ended before it was whole.", None))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let inner = error.inner();
        if inner.is_data() {
            let place = FieldError::at(pointer(error.path()), inner.to_string());
            return problems::malformed_body(
                "The body is JSON, but not of the form that is needed.",
                Some(place),
            );
        }
        not_json(inner)
    })?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

fn not_json(error: &serde_json::Error) -> Problem {
    problems::malformed_body(format!("The body is not JSON: {error}."), None)
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
