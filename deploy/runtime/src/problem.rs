//! Problem documents (RFC 9457): how every HTTP error is answered.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, RETRY_AFTER};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde::Serialize;

/// An error as a client sees it. It carries nothing internal: causes are logged, not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `/problems/<slug>`: stable, meant for programs.
    #[serde(rename = "type")]
    kind: String,
    /// What this type of problem is, in a few words that never change.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong with this request.
    detail: String,
    /// Where it is wrong, each place that was found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(skip)]
    retry_after_s: Option<u32>,
    #[serde(skip)]
    allow: Option<&'static str>,
}

/// One place of the request that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct FieldError {
    #[serde(flatten)]
    place: Place,
    /// What is wrong with it.
    detail: String,
}

/// Where in a request a field is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    /// JSON pointer (RFC 6901) into the body.
    Pointer(String),
    /// Name of a path or query parameter.
    Parameter(String),
}

impl FieldError {
    /// A fault at a JSON pointer such as `/items/0/quantity`.
    pub fn at(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            place: Place::Pointer(pointer.into()),
            detail: detail.into(),
        }
    }

    /// A fault in a parameter of the path or the query.
    pub fn parameter(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            place: Place::Parameter(name.into()),
            detail: detail.into(),
        }
    }
}

impl Problem {
    /// A problem of the type `slug`.
    pub fn new(status: StatusCode, slug: &str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("/problems/{slug}"),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_s: None,
            allow: None,
        }
    }

    /// 404 `no-such-resource`: no route has this path.
    #[must_use]
    pub fn no_such_resource() -> Self {
        let detail = "Nothing is served at this path.";
        Self::new(
            StatusCode::NOT_FOUND,
            "no-such-resource",
            "No such resource",
            detail,
        )
    }

    /// 405 `method-not-allowed`, with the methods that are.
    #[must_use]
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let detail = format!("This resource answers to {allow}.");
        let status = StatusCode::METHOD_NOT_ALLOWED;
        Self {
            allow: Some(allow),
            ..Self::new(status, "method-not-allowed", "Method not allowed", detail)
        }
    }

    /// 503 `unavailable`: nothing happened, and the same request may succeed in a second.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, "unavailable", "Temporarily unavailable", detail).retry_after(1)
    }

    /// 500 `internal`: our fault, told in the log and nowhere else.
    #[must_use]
    pub fn internal() -> Self {
        let detail = "The service failed on this request; its operators can find out why.";
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Internal error",
            detail,
        )
    }

    /// The same with the places that are wrong.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// The same with `Retry-After: <seconds>`.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.title, self.status, self.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponseBuilder::new(self.status_code());
        response
            .content_type("application/problem+json")
            .insert_header((CACHE_CONTROL, "no-store"));
        if let Some(seconds) = self.retry_after_s {
            response.insert_header((RETRY_AFTER, seconds));
        }
        if let Some(methods) = self.allow {
            response.insert_header((ALLOW, methods));
        }
        response.body(serde_json::to_string(self).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_type_title_status_detail_and_every_place() {
        let problem = Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "wrong",
            "Wrong",
            "Two things are wrong.",
        )
        .with_errors(vec![
            FieldError::at("/a/0", "too small"),
            FieldError::parameter("limit", "too big"),
        ]);
        assert_eq!(
            serde_json::to_value(&problem).unwrap(),
            serde_json::json!({
                "type": "/problems/wrong", "title": "Wrong", "status": 422, "detail": "Two things are wrong.",
                "errors": [
                    {"pointer": "/a/0", "detail": "too small"},
                    {"parameter": "limit", "detail": "too big"},
                ],
            })
        );
    }

    #[test]
    fn headers_tell_when_to_retry_and_what_is_allowed() {
        let response = Problem::unavailable("busy").error_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), "1");
        let response = Problem::method_not_allowed("GET").error_response();
        assert_eq!(response.headers().get(ALLOW).unwrap(), "GET");
        assert_eq!(
            response.headers().get("content-type").unwrap(),
            "application/problem+json"
        );
    }
}
