//! What travels with an event: its trace, and the span of the request that wrote it.

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;

use super::are_on;

/// A span of a trace that is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext(SpanContext);

impl TraceContext {
    /// The bytes of [`Self::to_traceparent`]. The CHECKs of the tables repeat it.
    pub const BYTES: usize = 55;

    /// The span of the request that is being handled; none if its trace is not recorded.
    #[must_use]
    pub fn current() -> Option<Self> {
        if !are_on() {
            return None;
        }
        Self::recorded(Context::map_current(|context| context.span().span_context().clone()))
    }

    /// The stored form of a span; none if it is none, or if its trace is not recorded.
    #[must_use]
    pub fn parse(traceparent: &str) -> Option<Self> {
        Self::recorded(extract(&Headers { traceparent, tracestate: None })?)
    }

    pub(super) fn recorded(context: SpanContext) -> Option<Self> {
        (context.is_valid() && context.is_sampled()).then_some(Self(context))
    }

    /// As W3C Trace Context writes it: version, trace, span, and that the trace is recorded.
    #[must_use]
    pub fn to_traceparent(&self) -> String {
        format!("00-{}-{}-01", self.0.trace_id(), self.0.span_id())
    }

    /// The trace, in hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.0.trace_id().to_string()
    }

    /// The span, in hexadecimal digits.
    #[must_use]
    pub fn span_id(&self) -> String {
        self.0.span_id().to_string()
    }

    pub(super) fn span_context(&self) -> &SpanContext {
        &self.0
    }
}

/// The headers of a trace context.
pub(super) struct Headers<'a> {
    pub(super) traceparent: &'a str,
    pub(super) tracestate: Option<&'a str>,
}

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => Some(self.traceparent),
            "tracestate" => self.tracestate,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

/// The span that the headers name, recorded or not.
pub(super) fn extract(headers: &Headers<'_>) -> Option<SpanContext> {
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), headers);
    let span = context.span().span_context().clone();
    span.is_valid().then_some(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_stored_form_of_a_recorded_span_is_read_back() {
        let context = TraceContext::parse(RECORDED).unwrap();
        assert_eq!(context.to_traceparent(), RECORDED);
        assert_eq!(RECORDED.len(), TraceContext::BYTES);
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id(), "00f067aa0ba902b7");
    }

    #[test]
    fn what_is_not_recorded_or_not_a_context_is_none() {
        for text in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "",
            "é",
            "00-x",
        ] {
            assert_eq!(TraceContext::parse(text), None, "{text}");
        }
    }
}
