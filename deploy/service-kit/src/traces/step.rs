//! A step of the work on a request, an event or a batch, as a span.

use std::borrow::Cow;
use std::time::SystemTime;

use opentelemetry::trace::{Link, Span as _, SpanBuilder, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::Span;

use super::export::is_full;
use super::{TRACES, TraceContext, tracer};

/// Most spans that a batch names as those that it serves.
pub const MAX_LINKS: usize = 128;

/// A step that is described and not begun.
#[must_use]
pub struct Step {
    builder: SpanBuilder,
}

impl Step {
    /// A step within this process.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self { builder: SpanBuilder::from_name(name) }
    }

    /// It handles what another process has sent.
    pub fn consumer(self) -> Self {
        Self { builder: self.builder.with_kind(SpanKind::Consumer) }
    }

    /// It sends something that another process handles later.
    pub fn producer(self) -> Self {
        Self { builder: self.builder.with_kind(SpanKind::Producer) }
    }

    /// It waits for the response of another system.
    pub fn client(self) -> Self {
        Self { builder: self.builder.with_kind(SpanKind::Client) }
    }

    /// When it began, if that was before now.
    pub fn since(self, began: SystemTime) -> Self {
        Self { builder: self.builder.with_start_time(began) }
    }

    /// Adds an attribute.
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.builder.attributes.get_or_insert_default().push(KeyValue::new(key, value));
        self
    }

    /// Names another span that has to do with this one.
    pub fn linked_to(self, other: &TraceContext) -> Self {
        self.serving([other])
    }

    /// Names the spans that this batch serves, [`MAX_LINKS`] at most. A batch is recorded if the first of them is.
    pub fn serving<'a>(mut self, served: impl IntoIterator<Item = &'a TraceContext>) -> Self {
        let links = served.into_iter().take(MAX_LINKS);
        let links = links.map(|context| Link::with_context(context.span_context().clone()));
        self.builder.links.get_or_insert_default().extend(links);
        self
    }

    /// Begins it as a part of `parent`; none if it is not recorded, or would be dropped.
    #[must_use]
    pub fn child_of(self, parent: &TraceContext) -> Option<Running> {
        if is_full(TRACES.get()?.queue) {
            return None;
        }
        self.begin(&Context::new().with_remote_span_context(parent.span_context().clone()))
    }

    /// Begins it as a trace of its own; none if it is not recorded.
    #[must_use]
    pub fn root(self) -> Option<Running> {
        self.begin(&Context::new())
    }

    fn begin(self, parent: &Context) -> Option<Running> {
        let span = tracer()?.build_with_context(self.builder, parent);
        span.span_context().is_sampled().then_some(Running { span })
    }
}

/// A step that has begun. It ends when it is dropped, at the latest.
#[must_use]
pub struct Running {
    span: Span,
}

impl Running {
    /// For links to it, and steps within it; none only if the process is ending.
    #[must_use]
    pub fn context(&self) -> Option<TraceContext> {
        TraceContext::recorded(self.span.span_context().clone())
    }

    /// Adds an attribute.
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.span.set_attribute(KeyValue::new(key, value));
        self
    }

    /// It failed, for this reason, which has no personal data.
    pub fn failed(mut self, reason: impl Into<Cow<'static, str>>) -> Self {
        self.span.set_status(Status::error(reason));
        self
    }

    /// It ended at that time.
    pub fn end_at(mut self, ended: SystemTime) {
        self.span.end_with_timestamp(ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_names_a_limited_number_of_those_that_it_serves() {
        let context = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        let step = Step::new("batch").serving(std::iter::repeat_n(&context, 2 * MAX_LINKS));
        assert_eq!(step.builder.links.unwrap().len(), MAX_LINKS);
    }

    #[test]
    fn nothing_is_recorded_before_traces_are_on() {
        assert!(Step::new("step").root().is_none());
        assert_eq!(TraceContext::current(), None);
    }
}
