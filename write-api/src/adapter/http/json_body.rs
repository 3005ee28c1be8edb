//! Reads a JSON body, and says where it is wrong.

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_ENCODING;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use service_kit::problem::{FieldError, Problem};

use super::body::read;
use super::explain::Explain;
use super::object::Object;
use super::problems;
use super::validation::Faults;

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
