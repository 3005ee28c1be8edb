//! The spans of events. Each batch has a trace of its own, with links to the requests whose events it handled; each of
//! these events has spans in the trace of its request. Only for events that carry a trace context: others cost nothing.

use std::time::SystemTime;

use service_kit::traces::{self, Running, Step, TraceContext};

use crate::event_log::LoggedEvent;
use crate::outbox::{ClaimedEvent, Origin};

/// What a batch did with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Applied,
    /// Its row is locked: it is tried again.
    Waiting,
    /// It was refused.
    Parked,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Waiting => "waiting",
            Self::Parked => "parked",
        }
    }
}

/// An event with a trace that is recorded.
#[derive(Debug)]
pub(crate) struct TracedEvent {
    context: TraceContext,
    position: i64,
    kind: String,
    /// Where it was.
    source: &'static str,
    outcome: Outcome,
    /// None: the claim.
    subscription: Option<String>,
}

impl TracedEvent {
    /// A claimed event; none if it has no trace.
    pub(crate) fn claimed(
        event: &ClaimedEvent,
        subscription: Option<&str>,
        outcome: Outcome,
    ) -> Option<Self> {
        if !traces::are_on() {
            return None;
        }
        let source = match event.origin {
            Origin::Outbox { .. } => "outbox",
            Origin::Waiting { .. } => "waiting_events",
            Origin::Log => "event_log",
            Origin::Parked { .. } if subscription.is_some() => "subscription_parked",
            Origin::Parked { .. } => "parked_events",
        };
        Some(Self {
            context: TraceContext::parse(event.traceparent.as_deref()?)?,
            position: event.id,
            kind: event.kind.clone(),
            source,
            outcome,
            subscription: subscription.map(str::to_owned),
        })
    }

    /// An event that a listener has handled; none if it has no trace.
    pub(crate) fn logged(event: &LoggedEvent, subscription: &str) -> Option<Self> {
        Self::fed(event.traceparent.as_deref(), event.position, &event.kind, subscription.to_owned())
    }

    /// The same.
    pub(crate) fn fed(
        traceparent: Option<&str>,
        position: i64,
        kind: &str,
        subscription: String,
    ) -> Option<Self> {
        if !traces::are_on() {
            return None;
        }
        Some(Self {
            context: TraceContext::parse(traceparent?)?,
            position,
            kind: kind.to_owned(),
            source: "event_log",
            outcome: Outcome::Applied,
            subscription: Some(subscription),
        })
    }

    fn describe(&self, step: Step) -> Step {
        step.with("orders.event.kind", self.kind.clone())
            .with("orders.event.position", self.position)
            .with("orders.event.source", self.source)
    }

    fn end(&self, span: Running, at: SystemTime) {
        let span = span.with("orders.event.outcome", self.outcome.name());
        // Not the reason: it may have text of the event.
        let span = if self.outcome == Outcome::Parked { span.failed("parked") } else { span };
        span.end_at(at);
    }
}

/// When a batch began, had claimed its events, and was committed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) began: SystemTime,
    pub(crate) claimed: SystemTime,
    pub(crate) ended: SystemTime,
}

/// Records the spans of a batch of `events` events. Nothing if none of them has a trace.
pub(crate) fn record(traced: &[TracedEvent], events: usize, times: Times) {
    let Some(first) = traced.first().filter(|_| traces::are_on()) else { return };
    let name = if first.subscription.is_some() { "subscription batch" } else { "projection batch" };
    let mut served: Vec<_> = traced.iter().map(|event| &event.context).collect();
    // Several endpoints get the same event.
    served.dedup();
    let batch = Step::new(name)
        .consumer()
        .since(times.began)
        .with("orders.batch.events", i64::try_from(events).unwrap_or(i64::MAX))
        .serving(served)
        .root();
    let batch_context = batch.as_ref().and_then(Running::context);
    for event in traced {
        match &event.subscription {
            Some(subscription) => record_subscription(event, subscription, times, batch_context.as_ref()),
            None => record_claim(event, times, batch_context.as_ref()),
        }
    }
    if let Some(batch) = batch {
        batch.end_at(times.ended);
    }
}

fn linked(step: Step, batch: Option<&TraceContext>) -> Step {
    match batch {
        Some(batch) => step.linked_to(batch),
        None => step,
    }
}

fn record_claim(event: &TracedEvent, times: Times, batch: Option<&TraceContext>) {
    let claim = linked(event.describe(Step::new("claim").consumer().since(times.began)), batch);
    let Some(claim) = claim.child_of(&event.context) else { return };
    let context = claim.context();
    claim.end_at(times.claimed);
    let project = event.describe(Step::new("project").since(times.claimed));
    if let Some(project) = context.and_then(|claim| project.child_of(&claim)) {
        event.end(project, times.ended);
    }
}

fn record_subscription(event: &TracedEvent, subscription: &str, times: Times, batch: Option<&TraceContext>) {
    let step = Step::new(format!("subscription {subscription}")).consumer().since(times.began);
    if let Some(span) = linked(event.describe(step), batch).child_of(&event.context) {
        event.end(span, times.ended);
    }
}
