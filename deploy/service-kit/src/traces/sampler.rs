//! Which traces are recorded: what `OTEL_TRACES_SAMPLER` says. A batch follows what it serves.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingResult, ShouldSample};

/// The configured sampler. A trace that begins with a batch is decided on as its first link would be. Not that of a
/// request: its link was chosen by its caller.
#[derive(Debug, Clone)]
pub(super) struct FollowLinks(pub(super) Sampler);

impl ShouldSample for FollowLinks {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        span_kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let has_parent = parent_context.is_some_and(|parent| parent.span().span_context().is_valid());
        let followed = links.first().filter(|_| !has_parent && *span_kind != SpanKind::Server);
        let Some(Link { span_context, .. }) = followed else {
            return self.0.should_sample(parent_context, trace_id, name, span_kind, attributes, links);
        };
        let parent = Context::new().with_remote_span_context(span_context.clone());
        let trace_id = span_context.trace_id();
        self.0.should_sample(Some(&parent), trace_id, name, span_kind, attributes, links)
    }
}
