//! The spans of republished events. Each event begins a trace of its own, so that the sampler decides how many of a
//! long run are recorded. The statement that emits a page has one too, with links to them.

use std::time::SystemTime;

use service_kit::database::DatabaseError;
use service_kit::traces::{self, Running, Step, TraceContext};
use shared_events::OrderEvent;

/// The spans of a page of events, in their order; none for those that are not recorded.
pub(super) struct EmitTrace {
    began: SystemTime,
    events: Vec<Option<Running>>,
}

impl EmitTrace {
    pub(super) fn begin(events: &[OrderEvent]) -> Self {
        let began = SystemTime::now();
        let spans = events.iter().map(|event| traces::are_on().then(|| begin(event, began)).flatten());
        Self { began, events: spans.collect() }
    }

    /// What each event carries.
    pub(super) fn traceparents(&self) -> Vec<Option<String>> {
        let contexts = self.events.iter().map(|span| span.as_ref().and_then(Running::context));
        contexts.map(|context| context.map(|context| context.to_traceparent())).collect()
    }

    /// The statement is done.
    pub(super) fn end(self, error: Option<&DatabaseError>) {
        let now = SystemTime::now();
        let contexts: Vec<TraceContext> = self.events.iter().flatten().filter_map(Running::context).collect();
        if contexts.is_empty() {
            return;
        }
        let events = i64::try_from(self.events.len()).unwrap_or(i64::MAX);
        let batch = Step::new("republish batch")
            .client()
            .since(self.began)
            .with("db.system.name", "postgresql")
            .with("orders.batch.events", events)
            .serving(&contexts);
        for span in self.events.into_iter().flatten().chain(batch.root()) {
            match error {
                Some(error) => span.failed(error.to_string()).end_at(now),
                None => span.end_at(now),
            }
        }
    }
}

fn begin(event: &OrderEvent, began: SystemTime) -> Option<Running> {
    Step::new("republish order")
        .producer()
        .since(began)
        .with("order.id", event.order.order_id.to_string())
        .with("order.version", i64::from(event.order.version))
        .root()
}
