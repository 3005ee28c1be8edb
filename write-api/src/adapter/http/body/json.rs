//! Extractors for JSON bodies.

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_ENCODING;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use service_kit::problem::{FieldError, Problem};

use super::super::problems;
use super::read::read;
use super::{Diagnose, Faults, StrictObject};

/// A body that was parsed as `T`.
pub(in super::super) struct JsonBody<T>(pub(in super::super) T);

/// A body that may be missing or `null`: then it is `T`'s default. Without a body, no content type is required.
pub(in super::super) struct OptionalJsonBody<T>(pub(in super::super) T);

impl<T: DeserializeOwned + Diagnose + 'static> FromRequest for JsonBody<T> {
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

impl<T: DeserializeOwned + Default + Diagnose + 'static> FromRequest for OptionalJsonBody<T> {
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
    // Compressed bodies would need limits of their own for decompression, and orders are small.
    let encoding = request.headers().get(CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(unsupported_media_type("Content-Encoding", "must be `identity` or absent"));
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

/// Parses a `T`. Only a body that is refused is parsed again, as any JSON value, to report all of its faults.
fn parse<T: DeserializeOwned + Diagnose>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map(|StrictObject(value)| value).map_err(|error| {
        let mut faults = Faults::default();
        match serde_json::from_slice(bytes) {
            Ok(body) => T::diagnose(&body, &mut faults),
            Err(not_json) => {
                return problems::MALFORMED_BODY.with(format!("The body is not JSON: {not_json}."));
            }
        }
        if faults.is_empty() {
            // A duplicate field: it does not show in the parsed value.
            faults.add("", &error.to_string());
        }
        problems::MALFORMED_BODY
            .with("The body is JSON but does not have the expected structure; see `errors`.")
            .at(faults.into_errors())
    })
}
