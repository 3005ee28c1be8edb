//! The span of a request: where its trace begins, or goes on.

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderValue};
use futures_util::future::Either;
use opentelemetry::context::FutureExt;
use opentelemetry::trace::{
    Link, Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceId, Tracer,
};
use opentelemetry::{Context, KeyValue};

use super::config::Incoming;
use super::context::{Headers, extract};
use super::{TRACES, Traces};

/// Requests that are not traced: they ask how this process is.
const NOT_TRACED: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// The ids of a request's trace and span, as the log has them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TraceIds {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
}

/// The span of a request whose trace is recorded.
pub(crate) struct RequestSpan {
    context: Context,
}

/// Begins the span of a request; none if it is not recorded.
pub(crate) fn begin_request(
    method: &str,
    route: Option<&str>,
    request_id: Option<&str>,
    headers: &HeaderMap,
) -> Option<RequestSpan> {
    let Traces { tracer, incoming, .. } = TRACES.get()?;
    if route.is_some_and(|route| NOT_TRACED.contains(&route)) {
        return None;
    }
    let (mut parent, mut builder) = (Context::new(), SpanBuilder::from_name("request"));
    if let Some(caller) = caller(headers) {
        match incoming {
            Incoming::Trust => parent = parent.with_remote_span_context(caller),
            Incoming::Link => builder = builder.with_links(vec![Link::with_context(caller)]),
        }
    }
    let mut span = tracer.build_with_context(builder.with_kind(SpanKind::Server), &parent);
    if !span.span_context().is_sampled() {
        return None;
    }
    span.update_name(route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}")));
    let attributes =
        [("http.request.method", Some(method)), ("http.route", route), ("request.id", request_id)];
    for (key, value) in attributes {
        if let Some(value) = value {
            span.set_attribute(KeyValue::new(key, value.to_owned()));
        }
    }
    Some(RequestSpan { context: Context::new().with_span(span) })
}

/// The span of the caller; none if there is not exactly one.
fn caller(headers: &HeaderMap) -> Option<SpanContext> {
    let mut given = headers.get_all("traceparent");
    let (Some(traceparent), None) = (given.next(), given.next()) else { return None };
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    let (traceparent, tracestate) = (text(traceparent)?, headers.get("tracestate").and_then(text));
    extract(&Headers { traceparent: &traceparent, tracestate: tracestate.as_deref() })
}

impl RequestSpan {
    pub(crate) fn ids(&self) -> TraceIds {
        let span = self.context.span();
        TraceIds { trace_id: span.span_context().trace_id(), span_id: span.span_context().span_id() }
    }

    /// Runs `work` so that [`TraceContext::current`](super::TraceContext::current) in it is `span`.
    pub(crate) fn enclose<F: Future>(
        span: Option<&Self>,
        work: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        match span {
            Some(span) => Either::Left(work.with_context(span.context.clone())),
            None => Either::Right(work),
        }
    }

    /// The response has this status.
    pub(crate) fn end(self, status: StatusCode) {
        let span = self.context.span();
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        if status.is_server_error() {
            span.set_status(Status::error(""));
        }
        span.end();
    }
}
