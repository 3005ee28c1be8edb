//! Problem documents (RFC 9457): how every HTTP error is answered.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, RETRY_AFTER};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde::Serialize;

/// A kind of error, as it is documented: each service lists its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProblemType {
    /// The HTTP status.
    pub status: u16,
    /// The last part of the problem's `type`: stable, meant for programs.
    pub slug: &'static str,
    /// What it is, in a few words that never change.
    pub title: &'static str,
    /// When it is answered, and what the client can do.
    pub when: &'static str,
}

/// 404: no route has this path.
pub const NO_SUCH_RESOURCE: ProblemType = ProblemType {
    status: 404,
    slug: "no-such-resource",
    title: "No such resource",
    when: "Nothing is served at this path.",
};

/// 408: the head of the request did not arrive in time.
pub const HEAD_TOO_SLOW: ProblemType = ProblemType {
    status: 408,
    slug: "head-too-slow",
    title: "Head too slow",
    when: "The head of the request did not arrive within 5 seconds.",
};

/// 405: with the methods that are allowed.
pub const METHOD_NOT_ALLOWED: ProblemType = ProblemType {
    status: 405,
    slug: "method-not-allowed",
    title: "Method not allowed",
    when: "`Allow` names the methods that this resource answers to.",
};

/// 400: a parameter or header breaks a rule.
pub const INVALID_PARAMETER: ProblemType = ProblemType {
    status: 400,
    slug: "invalid-parameter",
    title: "Invalid parameter",
    when: "A parameter or header breaks the rule named in `errors`.",
};

/// 503: nothing happened, and the same request may succeed in a second.
pub const UNAVAILABLE: ProblemType = ProblemType {
    status: 503,
    slug: "unavailable",
    title: "Temporarily unavailable",
    when: "Nothing happened; send the same request again after `Retry-After`.",
};

/// 500: our fault, told in the log and nowhere else.
pub const INTERNAL: ProblemType = ProblemType {
    status: 500,
    slug: "internal",
    title: "Internal error",
    when: "The service failed on this request; its operators can find out why.",
};

/// How many wrong parameters `detail` names.
const MAX_NAMES: usize = 5;

/// How much of a parameter's name `detail` repeats, in characters.
const MAX_NAME_CHARS: usize = 64;

/// The most places that are reported: enough to correct a request by, and no way to have us write without end.
pub const MAX_ERRORS: usize = 100;

/// The longest text in a problem that may repeat what the client has sent, in characters.
const MAX_CHARS: usize = 200;

/// An error as a client sees it. It carries nothing internal: causes are logged, not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `/problems/<slug>`.
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
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
    /// Name of a header.
    Header(String),
}

impl FieldError {
    fn new(place: fn(String) -> Place, name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { place: place(short(name.into())), detail: short(detail.into()) }
    }

    /// A fault at a JSON pointer such as `/items/0/quantity`. As everywhere in a problem, long texts are cut.
    pub fn at(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Place::Pointer, pointer, detail)
    }

    /// A fault in a parameter of the path or the query.
    pub fn parameter(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Place::Parameter, name, detail)
    }

    /// A fault in a header.
    pub fn header(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Place::Header, name, detail)
    }

    /// A client chooses the names of its unknown parameters, and how long they are.
    fn short_name(&self) -> String {
        let (Place::Pointer(name) | Place::Parameter(name) | Place::Header(name)) = &self.place;
        name.chars().take(MAX_NAME_CHARS).collect()
    }
}

fn short(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_CHARS) {
        text.truncate(end);
        text.push_str(" …");
    }
    text
}

impl ProblemType {
    /// A problem of this type. Where the status is 503 it tells to come back after a second.
    pub fn with(&self, detail: impl Into<String>) -> Problem {
        Problem {
            kind: format!("/problems/{}", self.slug),
            title: self.title,
            status: self.status,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_s: (self.status == StatusCode::SERVICE_UNAVAILABLE).then_some(1),
            allow: None,
        }
    }
}

impl Problem {
    /// 404 [`NO_SUCH_RESOURCE`].
    #[must_use]
    pub fn no_such_resource() -> Self {
        NO_SUCH_RESOURCE.with(NO_SUCH_RESOURCE.when)
    }

    /// 405 [`METHOD_NOT_ALLOWED`], with the methods that are.
    #[must_use]
    pub fn method_not_allowed(allow: &'static str) -> Self {
        Self { allow: Some(allow), ..METHOD_NOT_ALLOWED.with(format!("This resource answers to {allow}.")) }
    }

    /// 400 [`INVALID_PARAMETER`] at one place.
    #[must_use]
    pub fn invalid_parameter(error: FieldError) -> Self {
        Self::invalid_parameters(vec![error])
    }

    /// 400 [`INVALID_PARAMETER`] at these places. `detail` names them too: it is what a person is shown, or what is logged.
    #[must_use]
    pub fn invalid_parameters(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [] => INVALID_PARAMETER.when.to_owned(),
            [error] => format!("`{}` {}.", error.short_name(), error.detail),
            errors => {
                let names: Vec<_> =
                    errors.iter().take(MAX_NAMES).map(|error| format!("`{}`", error.short_name())).collect();
                let more = if errors.len() > MAX_NAMES { " and others" } else { "" };
                format!("{}{more} break the rules named in `errors`.", names.join(", "))
            }
        };
        INVALID_PARAMETER.with(detail).at(errors)
    }

    /// 503 [`UNAVAILABLE`].
    pub fn unavailable(detail: impl Into<String>) -> Self {
        UNAVAILABLE.with(detail)
    }

    /// 500 [`INTERNAL`].
    #[must_use]
    pub fn internal() -> Self {
        INTERNAL.with(INTERNAL.when)
    }

    /// The same with the places that are wrong, [`MAX_ERRORS`] at most.
    #[must_use]
    pub fn at(mut self, mut errors: Vec<FieldError>) -> Self {
        errors.truncate(MAX_ERRORS);
        self.errors = errors;
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
        response.content_type("application/problem+json").insert_header((CACHE_CONTROL, "no-store"));
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
        let wrong = ProblemType { status: 422, slug: "wrong", title: "Wrong", when: "Never." };
        let problem = wrong
            .with("Two things are wrong.")
            .at(vec![FieldError::at("/a/0", "too small"), FieldError::parameter("limit", "too big")]);
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
    fn the_detail_names_the_parameters_that_are_wrong_and_is_short() {
        let wrong = |name: &str| FieldError::parameter(name, "must be given once");
        let detail = |errors| Problem::invalid_parameters(errors).detail;
        assert_eq!(detail(vec![wrong("limit")]), "`limit` must be given once.");
        let header = FieldError::header("Idempotency-Key", "must be given once");
        assert_eq!(
            detail(vec![wrong("limit"), header]),
            "`limit`, `Idempotency-Key` break the rules named in `errors`."
        );
        let many = (0..5_000).map(|number| wrong(&format!("{number}{}", "x".repeat(20_000)))).collect();
        assert!(detail(many).len() < 500);
    }

    #[test]
    fn a_problem_has_a_bounded_size_whatever_the_client_sent() {
        let long = "é".repeat(10_000);
        for place in [FieldError::at, FieldError::parameter, FieldError::header] {
            let errors = vec![place(long.clone(), long.clone()); 5_000];
            let problem = Problem::invalid_parameter(FieldError::at("", "")).at(errors);
            let body = serde_json::to_value(&problem).unwrap();
            assert_eq!(body["errors"].as_array().unwrap().len(), MAX_ERRORS);
            assert!(body["errors"][0]["detail"].as_str().unwrap().ends_with("é …"), "{body}");
            assert!(body.to_string().len() < 100_000);
        }
    }

    #[test]
    fn headers_tell_when_to_retry_and_what_is_allowed() {
        let response = Problem::unavailable("busy").error_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), "1");
        let response = Problem::method_not_allowed("GET").error_response();
        assert_eq!(response.headers().get(ALLOW).unwrap(), "GET");
        assert_eq!(response.headers().get("content-type").unwrap(), "application/problem+json");
    }
}
