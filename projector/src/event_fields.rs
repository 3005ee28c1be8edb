//! What lines of the log say of the event that they are about, always in the same fields.

use serde::Deserialize;
use service_kit::traces::TraceContext;
use tracing::field::{DisplayValue, display};
use uuid::Uuid;

/// The values of `order.id`, `order.version`, `trace_id` and `span_id`: each line about an event has these fields. The
/// log leaves out those that are not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFields {
    order: OrderKey,
    trace: Option<TraceContext>,
}

/// The order of an event, as far as its payload says so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct OrderKey {
    #[serde(rename = "order_id")]
    id: Option<Uuid>,
    version: Option<i32>,
}

impl EventFields {
    /// Those of an event with this payload, which may be anything, and this trace context.
    #[must_use]
    pub fn of(payload: &str, traceparent: Option<&str>) -> Self {
        #[derive(Deserialize)]
        struct Payload {
            order: OrderKey,
        }
        let order =
            serde_json::from_str(payload).map_or_else(|_| OrderKey::default(), |Payload { order }| order);
        Self { order, trace: traceparent.and_then(TraceContext::parse) }
    }

    pub(crate) fn order_id(&self) -> Option<DisplayValue<Uuid>> {
        self.order.id.map(display)
    }

    pub(crate) fn version(&self) -> Option<i32> {
        self.order.version
    }

    pub(crate) fn trace_id(&self) -> Option<String> {
        self.trace.as_ref().map(TraceContext::trace_id)
    }

    pub(crate) fn span_id(&self) -> Option<String> {
        self.trace.as_ref().map(TraceContext::span_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_an_event_says_of_its_order_and_trace_is_known() {
        let id = Uuid::from_u128(7);
        let fields =
            EventFields::of(&format!(r#"{{"order": {{"order_id": "{id}", "version": 3}}}}"#), Some(TRACED));
        assert_eq!(fields.order_id().map(|id| format!("{id:?}")), Some(id.to_string()));
        assert_eq!(fields.version(), Some(3));
        assert_eq!(fields.trace_id().as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        assert_eq!(fields.span_id().as_deref(), Some("00f067aa0ba902b7"));
    }

    #[test]
    fn an_event_without_an_order_or_a_recorded_trace_has_none() {
        for payload in ["", "[]", "{}", r#"{"order": 1}"#, r#"{"order": {"order_id": "an-order"}}"#] {
            assert_eq!(EventFields::of(payload, Some("x")), EventFields::default(), "{payload}");
        }
    }
}
