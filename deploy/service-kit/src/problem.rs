//! Problem documents (RFC 9457): the body of every HTTP error.

mod field_error;
mod problem_type;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Serialize, Serializer};
use serde_json::Value;

pub use self::field_error::FieldError;
pub use self::problem_type::{
    HEAD_TOO_LARGE, HEAD_TOO_SLOW, INSUFFICIENT_SCOPE, INTERNAL, INVALID_PARAMETER, METHOD_NOT_ALLOWED,
    NO_SUCH_RESOURCE, NOT_LOCAL, ProblemType, TOO_MANY_REQUESTS, UNAUTHENTICATED, UNAVAILABLE,
};

/// The most parameters that `detail` names.
const MAX_NAMES: usize = 5;

/// The most entries of `errors`, so that a hostile request cannot force an unbounded response.
pub const MAX_ERRORS: usize = 100;

/// An error as a client sees it. It has no internal details: causes are only logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    #[serde(rename = "type", serialize_with = "serialize_type")]
    slug: &'static str,
    title: &'static str,
    status: u16,
    /// What is wrong with this request.
    detail: String,
    /// Each invalid field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// What the type has besides. Few types have anything.
    #[serde(flatten)]
    #[expect(clippy::box_collection, reason = "problems are small, because they are returned as errors")]
    members: Option<Box<BTreeMap<&'static str, Value>>>,
    #[serde(skip)]
    retry_after_s: Option<u32>,
    /// A header that its type has besides: `Allow` or `WWW-Authenticate`.
    #[serde(skip)]
    header: Option<Box<(HeaderName, Cow<'static, str>)>>,
}

/// `/problems/<slug>`.
fn serialize_type<S: Serializer>(slug: &&str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("/problems/{slug}"))
}

impl ProblemType {
    /// A problem of this type. With status 429 or 503 it has `Retry-After: 1`.
    pub fn with(&self, detail: impl Into<String>) -> Problem {
        Problem {
            slug: self.slug,
            title: self.title,
            status: self.status,
            detail: detail.into(),
            errors: Vec::new(),
            members: None,
            retry_after_s: self.is_transient().then_some(1),
            header: None,
        }
    }
}

impl Problem {
    /// The last part of its type: names the problem in logs.
    #[must_use]
    pub fn slug(&self) -> &'static str {
        self.slug
    }

    /// 404 [`NO_SUCH_RESOURCE`].
    #[must_use]
    pub fn no_such_resource() -> Self {
        NO_SUCH_RESOURCE.with(NO_SUCH_RESOURCE.when)
    }

    /// 405 [`METHOD_NOT_ALLOWED`]; `allow` lists the allowed methods.
    #[must_use]
    pub fn method_not_allowed(allow: &'static str) -> Self {
        METHOD_NOT_ALLOWED.with(format!("Allowed methods: {allow}.")).with_header(ALLOW, allow)
    }

    /// 400 [`INVALID_PARAMETER`] with one error.
    #[must_use]
    pub fn invalid_parameter(error: FieldError) -> Self {
        Self::invalid_parameters(vec![error])
    }

    /// 400 [`INVALID_PARAMETER`]. `detail` names the parameters too, because users and logs often show only that.
    #[must_use]
    pub fn invalid_parameters(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [] => INVALID_PARAMETER.when.to_owned(),
            [error] => format!("`{}` {}.", error.short_name(), error.detail()),
            errors => {
                let names: Vec<_> =
                    errors.iter().take(MAX_NAMES).map(|error| format!("`{}`", error.short_name())).collect();
                let more = if errors.len() > MAX_NAMES { " and others" } else { "" };
                format!("{}{more} are invalid; see `errors`.", names.join(", "))
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

    /// Adds a member that its type has besides those of every problem.
    #[must_use]
    pub fn with_member(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.members.get_or_insert_default().insert(name, value.into());
        self
    }

    /// Adds `WWW-Authenticate`.
    #[must_use]
    pub fn with_challenge(self, challenge: impl Into<Cow<'static, str>>) -> Self {
        self.with_header(WWW_AUTHENTICATE, challenge)
    }

    fn with_header(mut self, name: HeaderName, value: impl Into<Cow<'static, str>>) -> Self {
        self.header = Some(Box::new((name, value.into())));
        self
    }

    /// Its document for the request with this id, which `instance` names.
    pub(crate) fn document(&self, request_id: &str) -> String {
        /// The characters of a path's segment that are never escaped (RFC 3986, section 2.3).
        const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
        #[derive(Serialize)]
        struct Document<'a> {
            #[serde(flatten)]
            problem: &'a Problem,
            instance: String,
        }
        let instance = format!("/requests/{}", utf8_percent_encode(request_id, ESCAPED));
        serde_json::to_string(&Document { problem: self, instance }).unwrap_or_default()
    }

    /// Adds the invalid fields, [`MAX_ERRORS`] at most.
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
        if let Some((name, value)) = self.header.as_deref() {
            response.insert_header((name, &**value));
        }
        response.body(serde_json::to_string(self).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_type_title_status_detail_and_every_error() {
        let wrong = ProblemType { status: 422, slug: "wrong", title: "Wrong", when: "Never." };
        let problem = wrong
            .with("Two things are wrong.")
            .with_member("goes_on_at", 7)
            .at(vec![FieldError::at("/a/0", "too small"), FieldError::parameter("limit", "too big")]);
        assert_eq!(
            serde_json::to_value(&problem).unwrap(),
            serde_json::json!({
                "type": "/problems/wrong", "title": "Wrong", "status": 422, "detail": "Two things are wrong.",
                "goes_on_at": 7,
                "errors": [
                    {"pointer": "/a/0", "detail": "too small"},
                    {"parameter": "limit", "detail": "too big"},
                ],
            })
        );
    }

    #[test]
    fn the_document_of_a_request_names_it_in_a_path_of_one_segment() {
        let problem = Problem::internal();
        let mut document: Value = serde_json::from_str(&problem.document("a-1._~/?#%\"\\")).unwrap();
        let instance = document.as_object_mut().unwrap().remove("instance").unwrap();
        assert_eq!(instance, "/requests/a-1._~%2F%3F%23%25%22%5C");
        assert_eq!(document, serde_json::to_value(&problem).unwrap());
    }

    #[test]
    fn the_detail_names_the_invalid_parameters_and_is_short() {
        let wrong = |name: &str| FieldError::parameter(name, "must be given once");
        let detail = |errors| Problem::invalid_parameters(errors).detail;
        assert_eq!(detail(vec![wrong("limit")]), "`limit` must be given once.");
        let header = FieldError::header("Idempotency-Key", "must be given once");
        assert_eq!(
            detail(vec![wrong("limit"), header]),
            "`limit`, `Idempotency-Key` are invalid; see `errors`."
        );
        let many = (0..5_000).map(|number| wrong(&format!("{number}{}", "x".repeat(20_000)))).collect();
        assert!(detail(many).len() < 500);
    }

    #[test]
    fn a_problem_has_a_bounded_size_for_any_request() {
        let long = "é".repeat(10_000);
        for new in [FieldError::at, FieldError::parameter, FieldError::header] {
            let errors = vec![new(long.clone(), long.clone()); 5_000];
            let problem = Problem::invalid_parameter(FieldError::at("", "")).at(errors);
            let body = serde_json::to_value(&problem).unwrap();
            assert_eq!(body["errors"].as_array().unwrap().len(), MAX_ERRORS);
            assert!(body["errors"][0]["detail"].as_str().unwrap().ends_with("é …"), "{body}");
            assert!(body.to_string().len() < 100_000);
        }
    }

    #[test]
    fn the_headers_have_the_retry_time_and_the_allowed_methods() {
        let response = Problem::unavailable("busy").error_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), "1");
        let response = Problem::method_not_allowed("GET").error_response();
        assert_eq!(response.headers().get(ALLOW).unwrap(), "GET");
        assert_eq!(response.headers().get("content-type").unwrap(), "application/problem+json");
    }
}
