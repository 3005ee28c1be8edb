//! The bounded queue in front of the collector. The code that ends a span only adds it to the queue; if that is
//! full, the span is dropped, and counted.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use metrics::{Counter, counter, describe_counter};
use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor};

use crate::metrics::Registry;
use crate::overload::OncePerSecond;

static COUNTS: Counts = Counts::new();

/// What became of the spans of this process.
#[derive(Debug)]
struct Counts {
    /// In the queue. The library has a limit of its own and does not say what it drops: it never gets that far.
    queued: AtomicUsize,
    exported: AtomicU64,
    queue_full: AtomicU64,
    not_taken: AtomicU64,
}

impl Counts {
    const fn new() -> Self {
        Self {
            queued: AtomicUsize::new(0),
            exported: AtomicU64::new(0),
            queue_full: AtomicU64::new(0),
            not_taken: AtomicU64::new(0),
        }
    }

    /// Takes a place in the queue, unless it has `max` spans.
    fn enter(&self, max: usize) -> bool {
        let has_room = self.queued.fetch_add(1, Ordering::Relaxed) < max;
        if !has_room {
            self.queued.fetch_sub(1, Ordering::Relaxed);
            self.queue_full.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }

    /// Whether a span would be dropped now. Counts that.
    fn is_full(&self, max: usize) -> bool {
        let is_full = self.queued.load(Ordering::Relaxed) >= max;
        if is_full {
            self.queue_full.fetch_add(1, Ordering::Relaxed);
        }
        is_full
    }

    fn sent(&self, spans: usize, result: &OTelSdkResult) {
        let count = if result.is_ok() { &self.exported } else { &self.not_taken };
        count.fetch_add(u64::try_from(spans).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// Whether a queue of `max` spans is full. The span that would be dropped is counted: it need not be made.
pub(super) fn is_full(max: usize) -> bool {
    COUNTS.is_full(max)
}

const EXPORTED: &str = "orders_trace_spans_exported_total";
const DROPPED: &str = "orders_trace_spans_dropped_total";

/// Shows the counts in the metrics of `registry`.
pub(crate) fn observe(registry: &Registry) {
    let (exported, queue_full, not_taken) = registry.register(|| {
        describe_counter!(EXPORTED, "Spans of traces that the collector has taken.");
        describe_counter!(
            DROPPED,
            "Spans of traces that are lost: the queue was full (`queue_full`), or the collector did not take them \
             (`export_failed`)."
        );
        let dropped = |reason: &'static str| counter!(DROPPED, "reason" => reason);
        (counter!(EXPORTED), dropped("queue_full"), dropped("export_failed"))
    });
    let show = |counter: &Counter, count: &AtomicU64| counter.absolute(count.load(Ordering::Relaxed));
    registry.before_each_scrape(move || {
        show(&exported, &COUNTS.exported);
        show(&queue_full, &COUNTS.queue_full);
        show(&not_taken, &COUNTS.not_taken);
    });
}

/// Adds spans to the queue of the library's processor, whose thread sends them.
#[derive(Debug)]
pub(super) struct BoundedProcessor {
    next: BatchSpanProcessor,
    max: usize,
}

impl BoundedProcessor {
    /// `max` is the length of the queue of `next`.
    pub(super) fn new(next: BatchSpanProcessor, max: usize) -> Self {
        Self { next, max }
    }
}

impl SpanProcessor for BoundedProcessor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.next.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if COUNTS.enter(self.max) {
            self.next.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

/// Counts what the collector takes.
#[derive(Debug)]
pub(super) struct CountingExporter<E>(E);

impl<E> CountingExporter<E> {
    pub(super) fn new(exporter: E) -> Self {
        Self(exporter)
    }
}

impl<E: SpanExporter> SpanExporter for CountingExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        COUNTS.queued.fetch_sub(spans, Ordering::Relaxed);
        let result = self.0.export(batch).await;
        COUNTS.sent(spans, &result);
        if let Err(error) = &result {
            static FAILED: OncePerSecond = OncePerSecond::new();
            if let Some(times) = FAILED.count() {
                tracing::warn!(times, spans, %error, "the collector does not take traces");
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_takes_nothing_and_counts_that() {
        let counts = Counts::new();
        assert!(counts.enter(2) && counts.enter(2) && !counts.enter(2));
        assert_eq!(counts.queue_full.load(Ordering::Relaxed), 1);
        assert!(counts.is_full(2));
        assert_eq!(counts.queue_full.load(Ordering::Relaxed), 2);
        counts.queued.fetch_sub(1, Ordering::Relaxed);
        assert!(!counts.is_full(2) && counts.enter(2));
    }
}
