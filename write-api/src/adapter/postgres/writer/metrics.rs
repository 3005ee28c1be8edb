//! Metrics of the write pipeline.

use std::sync::Arc;
use std::time::Duration;

use metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use service_kit::metrics::{Registry, rounded};
use tokio::sync::Semaphore;

use crate::budget::Budget;
use crate::port::{SaveResult, WriteError};

const RESULTS: &str = "orders_write_results_total";
const UNKNOWN: &str = "orders_write_unknown_outcomes_total";
const QUEUED: &str = "orders_write_queue_commands";
const BYTES: &str = "orders_write_budget_used_bytes";
const BATCH: &str = "orders_write_batch_commands";
const COMMIT: &str = "orders_write_commit_duration_seconds";

/// Upper bounds of the buckets of each histogram.
pub const BUCKETS: [(&str, &[f64]); 2] = [
    (BATCH, &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 150.0, 200.0, 256.0]),
    (COMMIT, &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]),
];

/// What the pipeline counts.
#[derive(Debug)]
pub(super) struct WriteMetrics {
    results: ByResult,
    resolved: ByResult,
    batch: Histogram,
    commit: Histogram,
}

/// A counter for each result of a write.
#[derive(Debug)]
struct ByResult {
    stored: Counter,
    conflict: Counter,
    busy: Counter,
    unavailable: Counter,
    refused: Counter,
    unknown: Counter,
}

impl WriteMetrics {
    /// Metrics that `registry` exports.
    pub(super) fn register(registry: &Registry) -> Self {
        registry.register(|| {
            describe_counter!(RESULTS, "Writes by the result that their caller got.");
            describe_counter!(
                UNKNOWN,
                "Writes that may have been stored when the connection was lost, by what was found out then; `unknown` \
                 if nothing was, until the caller's deadline."
            );
            describe_histogram!(BATCH, "Writes in one batch.");
            describe_histogram!(
                COMMIT,
                Unit::Seconds,
                "From sending a batch to its commit, or to its failure."
            );
            Self {
                results: ByResult::new(RESULTS),
                resolved: ByResult::new(UNKNOWN),
                batch: histogram!(BATCH),
                commit: histogram!(COMMIT),
            }
        })
    }

    /// Shows in each scrape how much waits: how many of `all` slots are taken, and the bytes of `budget`.
    pub(super) fn observe(registry: &Registry, slots: Arc<Semaphore>, all: usize, budget: Budget) {
        let (queued, bytes) = registry.register(|| {
            describe_gauge!(QUEUED, "Writes that wait for a batch. Further ones are refused at WRITE_QUEUE.");
            describe_gauge!(
                BYTES,
                Unit::Bytes,
                "Memory of requests without a response. Further ones are refused at WRITE_BUDGET_BYTES."
            );
            (gauge!(QUEUED), gauge!(BYTES))
        });
        registry.before_each_scrape(move || {
            queued.set(rounded(all.saturating_sub(slots.available_permits())));
            bytes.set(rounded(budget.held()));
        });
    }

    pub(super) fn executed(&self, writes: usize, took: Duration) {
        self.batch.record(rounded(writes));
        self.commit.record(took);
    }

    pub(super) fn replied(&self, result: &Result<SaveResult, WriteError>) {
        self.results.of(result).increment(1);
    }

    pub(super) fn resolved(&self, result: &Result<SaveResult, WriteError>) {
        self.resolved.of(result).increment(1);
    }
}

impl ByResult {
    fn new(name: &'static str) -> Self {
        let of = |result: &'static str| counter!(name, "result" => result);
        Self {
            stored: of("stored"),
            conflict: of("conflict"),
            busy: of("busy"),
            unavailable: of("unavailable"),
            refused: of("refused"),
            unknown: of("unknown"),
        }
    }

    fn of(&self, result: &Result<SaveResult, WriteError>) -> &Counter {
        match result {
            Ok(SaveResult::Stored) => &self.stored,
            Ok(SaveResult::Conflict(_)) => &self.conflict,
            Err(WriteError::Busy) => &self.busy,
            Err(WriteError::Unavailable(_)) => &self.unavailable,
            Err(WriteError::OutcomeUnknown(_)) => &self.unknown,
            Err(WriteError::Refused(_)) => &self.refused,
        }
    }
}
