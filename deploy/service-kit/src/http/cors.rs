//! Pages of other origins that may use the API.

use actix_cors::{Cors, CorsError};
use actix_http::body::{BoxBody, EitherBody};
use actix_http::{HttpMessage, Request};
use actix_web::dev::ServiceResponse;
use actix_web::http::Method;
use actix_web::http::header::ACCESS_CONTROL_REQUEST_METHOD;
use actix_web::middleware::Condition;
use actix_web::{Error, HttpResponse};
use url::Url;

use crate::config::ConfigError;
use crate::problem::{FieldError, Problem};

/// What pages may send, besides what every page may.
const REQUEST_HEADERS: [&str; 8] = [
    "authorization",
    "content-type",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "last-event-id",
    "prefer",
    "x-request-id",
];

/// What pages may read, besides what every page may.
const RESPONSE_HEADERS: [&str; 8] = [
    "etag",
    "idempotent-replayed",
    "link",
    "location",
    "preference-applied",
    "retry-after",
    "www-authenticate",
    "x-request-id",
];

/// How long a browser may remember the answer to a preflight request, in seconds.
const MAX_AGE_S: usize = 600;

/// `CORS_ORIGINS`: origins of pages that may use the API. Without it, no page of another origin may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct CorsOrigins(Box<[String]>);

impl CorsOrigins {
    pub(super) fn parse(value: Option<&str>) -> Result<Self, ConfigError> {
        let origins = value.into_iter().flat_map(|list| list.split(',')).map(|item| origin(item.trim()));
        Ok(Self(origins.collect::<Result<_, _>>()?))
    }

    /// Whether the middleware responds to this request itself: a page asks what it may send.
    pub(super) fn is_preflight(&self, request: &Request) -> bool {
        let method = request.headers().get(ACCESS_CONTROL_REQUEST_METHOD);
        !self.0.is_empty()
            && request.method() == Method::OPTIONS
            && method.is_some_and(|method| Method::from_bytes(method.as_bytes()).is_ok())
    }

    /// Tokens are in a header, so cookies are never allowed.
    pub(super) fn middleware(&self) -> Condition<Cors> {
        let cors = Cors::default()
            .allowed_methods([Method::GET, Method::HEAD, Method::POST])
            .allowed_headers(REQUEST_HEADERS)
            .expose_headers(RESPONSE_HEADERS)
            .max_age(MAX_AGE_S);
        let cors = self.0.iter().fold(cors, |cors, origin| cors.allowed_origin(origin));
        Condition::new(!self.0.is_empty(), cors)
    }
}

/// The response that the middleware has wrapped. Where it refuses a preflight request, that is a problem.
pub(super) fn response(response: ServiceResponse<EitherBody<EitherBody<BoxBody>>>) -> HttpResponse {
    if let Some(refused) = response.response().error().and_then(Error::as_error::<CorsError>) {
        return HttpResponse::from_error(problem(refused));
    }
    let unwrap = |_: &mut _, body| match body {
        EitherBody::Left { body: EitherBody::Left { body } | EitherBody::Right { body } }
        | EitherBody::Right { body } => body,
    };
    response.map_body(unwrap).into()
}

fn problem(refused: &CorsError) -> Problem {
    let (header, detail) = match refused {
        CorsError::MethodNotAllowed | CorsError::MissingRequestMethod | CorsError::BadRequestMethod => {
            ("Access-Control-Request-Method", "must be a method that other pages may use")
        }
        CorsError::HeadersNotAllowed | CorsError::BadRequestHeaders => {
            ("Access-Control-Request-Headers", "must name headers that other pages may send")
        }
        _ => ("Origin", "must be an origin whose pages may use this API"),
    };
    Problem::invalid_parameter(FieldError::header(header, detail))
}

fn origin(item: &str) -> Result<String, ConfigError> {
    let is_origin = |url: &Url| {
        let is_exact = url.origin().ascii_serialization() == item && !item.contains('*');
        is_exact && matches!(url.scheme(), "http" | "https")
    };
    if Url::parse(item).is_ok_and(|url| is_origin(&url)) {
        return Ok(item.to_owned());
    }
    // `*` would let every page use a token that it has got hold of.
    let reason = format!("must be a list of origins such as https://shop.example, not {item:?}");
    Err(ConfigError::Invalid { variable: "CORS_ORIGINS", reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_origins_are_accepted() {
        let origins = CorsOrigins::parse(Some("https://shop.example, http://localhost:3000")).unwrap();
        assert_eq!(*origins.0, ["https://shop.example", "http://localhost:3000"]);
        for bad in [
            "",
            "*",
            "null",
            "shop.example",
            "https://*.shop.example",
            "https://shop.example/",
            "https://shop.example/a",
            "https://shop.example:443",
            "https://Shop.example",
            "https://user@shop.example",
            "file:///etc",
            "https://shop.example,*",
        ] {
            let error = CorsOrigins::parse(Some(bad)).unwrap_err().to_string();
            assert!(error.starts_with("CORS_ORIGINS must be"), "{bad}: {error}");
        }
    }
}
