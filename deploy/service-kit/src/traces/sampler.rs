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

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceState};
    use opentelemetry_sdk::trace::SamplingDecision;

    use super::*;

    fn decide(sampler: Sampler, kind: &SpanKind, flags: TraceFlags) -> SamplingDecision {
        let linked = SpanContext::new(TraceId::from(7), SpanId::from(7), flags, true, TraceState::default());
        let links = [Link::with_context(linked)];
        let result = FollowLinks(sampler).should_sample(
            Some(&Context::new()),
            TraceId::from(u128::MAX),
            "span",
            kind,
            &[],
            &links,
        );
        result.decision
    }

    #[test]
    fn a_batch_is_recorded_if_what_it_serves_is_and_a_request_is_not() {
        use SamplingDecision::{Drop, RecordAndSample};
        let by_parent = || Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
        let (sampled, not) = (TraceFlags::SAMPLED, TraceFlags::default());
        assert_eq!(decide(by_parent(), &SpanKind::Client, sampled), RecordAndSample);
        assert_eq!(decide(by_parent(), &SpanKind::Client, not), Drop);
        assert_eq!(decide(by_parent(), &SpanKind::Server, sampled), Drop);
        assert_eq!(decide(Sampler::AlwaysOff, &SpanKind::Client, sampled), Drop);
        // By the id of the linked trace, which is low, and not by its own.
        assert_eq!(decide(Sampler::TraceIdRatioBased(0.01), &SpanKind::Client, sampled), RecordAndSample);
    }
}
